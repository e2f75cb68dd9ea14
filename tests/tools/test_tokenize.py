"""`tinyencodec tokenize`: what is in a dataset, and that it is the same however the work went."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import soundfile

import tinyencodec
from tests.helpers import program
from tests.helpers.models import MONO, RATE, STEREO, save_model
from tests.helpers.paths import tree
from tests.helpers.program import ENVIRONMENT
from tinyencodec.system.files import sha256_of
from tinyencodec.system.inputs import find_inputs
from tinyencodec.system.lock import exclusive
from tinyencodec.tools.tokenize import build, crashes, open_dataset, part, plan

CONFIGS = {
    "mono": MONO, "scaled": replace(MONO, normalize=True), "stereo": replace(STEREO, chunk_length_s=0.05),
    "large": replace(MONO, codebook_size=1 << 16, target_bandwidths=(16.0, 32.0), hidden_size=2),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for name, config in CONFIGS.items():
        save_model(home / "models" / name, config)
    return home


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Seven recordings of several rates, channels and depths of folder, and three that are none."""
    folder, random = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for name, rate, channels, samples in [
            ("b.wav", RATE, 1, 1000), ("a/x.flac", 16000, 2, 2401), ("a/y.wav", RATE, 2, 799),
            ("c/d/long.wav", RATE, 1, 3000), ("c/d/one.wav", RATE, 1, 1), ("c/e.wav", 11025, 1, 700),
            ("z.flac", RATE, 6, 800)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * random.standard_normal((samples, channels)), rate)
    (folder / "a/bad.flac").write_bytes((folder / "a/x.flac").read_bytes()[:4000])
    (folder / "c/empty.wav").write_bytes(b"")
    wav = random.standard_normal(500).astype(np.float32)
    wav[400] = np.nan
    soundfile.write(folder / "nan.wav", wav, RATE, subtype="FLOAT")
    return folder


GOOD = ["a/x.flac", "a/y.wav", "b.wav", "c/d/long.wav", "c/d/one.wav", "c/e.wav", "z.flac"]
BAD = ["a/bad.flac", "c/empty.wav", "nan.wav"]


@pytest.fixture(autouse=True)
def here(tmp_path, home, monkeypatch):
    monkeypatch.setenv("TINYENCODEC_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "_LEAST", 100_000)  # a part for each file or two


def run(*argv):
    return program.run("tokenize", *argv)


def same(one, other):
    first, second = tree(one), tree(other)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory, home, sounds):
    """A dataset of all recordings, made at one go in one process."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYENCODEC_HOME", str(home))
        assert run(sounds, "--out", folder, "-m", "stereo", "-b", 8, "--shard-size", "0.001", "-j", 1) == 1
    return folder


# ---- what is in it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_codes_are_those_of_the_model(name, sounds, capsys):
    model = tinyencodec.load_model(name)
    rate = model.bandwidths[-1]
    assert run(sounds, "-o", "set", "-m", name, "-b", rate, "-j", 1) == 1
    dataset = open_dataset("set")
    assert dataset.names == GOOD
    for i, name in enumerate(GOOD):
        wav = tinyencodec.read_audio(sounds / name, model.sample_rate, model.channels)
        frames = model.encode(wav, rate)
        saved = dataset[i]
        assert saved.length == dataset.lengths[i] == wav.shape[1]
        assert dataset.codes(i).dtype == (np.int32 if name == "large" else saved.codes.dtype)
        read = saved.frames(model)
        assert len(read) == len(frames)
        for (codes, scale), (expected, expected_scale) in zip(read, frames):
            np.testing.assert_array_equal(codes, expected)
            assert scale == expected_scale
        np.testing.assert_array_equal(model.decode(read, saved.length), model.decode(frames, wav.shape[1]))


def test_manifest_and_errors(whole, sounds):
    lines = [json.loads(line) for line in (whole / "manifest.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == GOOD
    first = lines[0]
    assert (first["sample_rate"], first["channels"], first["missing"]) == (16000, 2, 0)
    assert (first["length"], first["seconds"]) == (1201, 1201 / RATE)
    assert first["bytes"] == (sounds / GOOD[0]).stat().st_size
    assert first["sha256"] == sha256_of(sounds / GOOD[0])
    errors = [json.loads(line) for line in (whole / "errors.jsonl").read_text().splitlines()]
    assert [error["name"] for error in errors] == BAD
    assert "expected an audio file" in errors[0]["error"] and "nan" in errors[2]["error"]
    assert not any(str(sounds) in error["error"] for error in errors)
    about = json.loads((whole / "dataset.json").read_text())
    assert (about["recordings"], about["failed"], about["model"], about["codebooks"]) == (7, 3, "stereo", 2)
    assert about["frames"] == sum(line["frames"] for line in lines)
    assert sorted(path.name for path in whole.iterdir()) == \
        ["dataset.json", "errors.jsonl", "manifest.jsonl", *(shard["file"] for shard in about["shards"])]


def test_shards_are_read_without_tinyencodec(whole):
    """As the manifest says, by the library alone; and no shard but of one recording is larger than told."""
    dataset = open_dataset(whole)
    assert len(dataset.about["shards"]) > 2
    for i, line in enumerate(dataset.manifest()):
        with safetensors.safe_open(whole / line["shard"], "numpy") as file:
            rows = file.get_slice("codes")[line["offset"]:line["offset"] + line["frames"]]
            np.testing.assert_array_equal(rows.T, dataset.codes(i))
            assert file.get_tensor("lengths")[line["index"]] == line["length"]
            assert file.metadata()["model"] == "stereo"
            assert file.get_slice("codes").get_shape()[0] * 2 * 2 <= 1000 or len(file.get_tensor("lengths")) == 1


def test_reader(whole):
    dataset = open_dataset(str(whole))
    assert len(dataset) == 7 and len(list(dataset)) == 7
    assert dataset.sizes.tolist() == [line["frames"] for line in dataset.manifest()]
    codes = dataset.codes(3)
    for start, stop in [(0, None), (5, 9), (-4, None), (9, 5), (0, 10 ** 9), (codes.shape[1], None)]:
        np.testing.assert_array_equal(dataset.codes(3, start, stop), codes[:, start:stop])
    np.testing.assert_array_equal(dataset.codes(-1), dataset.codes(6))
    again = pickle.loads(pickle.dumps(dataset))  # to the workers of a data loader
    np.testing.assert_array_equal(again.codes(3), codes)
    for wrong in (7, -8):
        with pytest.raises(IndexError, match="from 0 to 6"):
            dataset.codes(wrong)


def test_to_a_codes_file_and_back(whole):
    model, saved = tinyencodec.load_model("stereo"), open_dataset(whole)[3]
    tinyencodec.write_codes("x.npz", model, saved.frames(model), saved.length)
    read = tinyencodec.read_codes("x.npz")
    np.testing.assert_array_equal(read.codes, saved.codes)
    np.testing.assert_array_equal(read.scales, saved.scales)
    assert read[2:] == saved[2:]


def test_a_file_that_ends_early_is_marked(sounds):
    data = (sounds / "b.wav").read_bytes()
    soundfile.write("cut.ogg", np.random.default_rng(0).standard_normal(40000) * 0.1, RATE)
    os.mkdir("in")
    Path("in/b.wav").write_bytes(data)
    soundfile.write("whole.mp3", np.random.default_rng(0).standard_normal(40000) * 0.1, RATE)
    mp3 = Path("whole.mp3").read_bytes()
    Path("in/cut.mp3").write_bytes(mp3[:len(mp3) // 2])
    assert run("in", "--out", "set", "-m", "mono", "-j", 1) == 0
    missing = [line["missing"] for line in open_dataset("set").manifest()]
    assert missing[0] == 0 and 10000 < missing[1] < 30000


# ---- the same bytes --------------------------------------------------------------------------------------


def test_processes_and_order_of_inputs_do_not_matter(whole, sounds):
    assert run(sounds / "c", sounds / "b.wav", "-o", "one", "-m", "mono", "-j", 1) == 1
    assert run(sounds / "b.wav", sounds / "c", "-o", "other", "-m", "mono", "-j", 1) == 1
    same("one", "other")
    assert run(sounds, "-o", "several", "-m", "stereo", "-b", 8, "--shard-size", "0.001", "-j", 2) == 1
    same(whole, "several")


def test_parts_do_not_matter(whole, sounds, monkeypatch):
    monkeypatch.setattr(plan, "_LEAST", 10 ** 9)
    assert run(sounds, "-o", "set", "-m", "stereo", "-b", 8, "--shard-size", "0.001", "-j", 1) == 1
    same(whole, "set")


def test_parts_have_all_files_once(sounds, tmp_path):
    files = plan.input_files(reversed(find_inputs([str(sounds)], (".wav", ".flac"))))
    settings = plan.Settings("mono", "", 8.0, 1, "")
    (tmp_path / plan.UNFINISHED).mkdir()
    jobs = plan.make_jobs(tmp_path, settings, files)
    assert len(jobs) > 3 and [job.number for job in jobs] == list(range(len(jobs)))
    assert [file for job in jobs for file in plan.files_of(job)] == files
    assert [file.name for file in files] == sorted(GOOD + BAD)
    assert len(pickle.dumps(jobs[0])) < 500


@pytest.fixture
def encoded(monkeypatch):
    """Names of files that are coded, in this process, from now on."""
    names, encode = [], part._encode_file
    monkeypatch.setattr(part, "_encode_file", lambda model, file, *rest: names.append(file.name) or
                        encode(model, file, *rest))
    return names


def interrupted(*argv):
    """A run that is interrupted when all parts are done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "write_shards", interrupt)
        assert run(*argv) == 130


def interrupt(*_args, **_options):
    raise KeyboardInterrupt


def test_killed_and_taken_up_again(whole, sounds, encoded):
    """Killed when the first parts are done; taken up, and asked for once more when there is nothing left to do."""
    options = [str(sounds), "--out", "set", "-m", "stereo", "-b", "8", "--shard-size", "0.001", "-j", "1"]
    script = """if 1:
        import sys, time
        from tinyencodec.cli import main as cli
        from tinyencodec.tools.tokenize import part, plan
        plan._LEAST, encode = 100_000, part._encode_file
        part._encode_file = lambda *args: (time.sleep(0.2), encode(*args))[1]
        cli.main(["tokenize", *sys.argv[1:]])"""
    process = subprocess.Popen([sys.executable, "-c", script, *options], env={**os.environ, **ENVIRONMENT})
    unfinished = Path("set", plan.UNFINISHED)
    try:
        while len(list(unfinished.glob("part-*.jsonl"))) < 2:
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    numbers = [int(path.stem[5:]) for path in unfinished.glob("part-*.jsonl")]
    done = [outcome.name for number in numbers for outcome in part.read_results("set", number)]
    with pytest.raises(ValueError, match="a complete dataset, got 'one that tokenize has not finished; run it again"):
        open_dataset("set")
    Path("set/.0123456789abcdef.tmp").write_bytes(b"half a shard")
    assert run(*options) == 1
    assert sorted(encoded + done) == sorted(GOOD + BAD)
    same(whole, "set")
    assert run(*options) == 1
    assert len(encoded) + len(done) == len(GOOD + BAD)
    same(whole, "set")


def test_killed_when_all_but_tidying_was_done(whole, sounds, encoded, monkeypatch):
    options = (sounds, "--out", "set", "-m", "stereo", "-b", 8, "--shard-size", "0.001", "-j", 1)
    with monkeypatch.context() as patch:
        patch.setattr("tinyencodec.tools.tokenize.build.shutil.rmtree", interrupt)
        assert run(*options) == 130
    assert Path("set", plan.UNFINISHED).is_dir()
    del encoded[:]
    assert run(*options) == 1
    assert not encoded
    same(whole, "set")


@pytest.mark.parametrize("change", ["touched", "rewritten"])
def test_inputs_that_change_in_between(change, encoded):
    """A part is done again only if the bytes of its files are others."""
    os.mkdir("in")
    wavs = [0.3 * np.random.default_rng(i).standard_normal((3000, 10)) for i in range(3)]
    for i, wav in enumerate(wavs):
        soundfile.write(f"in/{i}.wav", wav, RATE)
    options = ("in", "--out", "set", "-m", "mono", "-j", 1)
    interrupted(*options)
    assert encoded == ["0.wav", "1.wav", "2.wav"]
    if change == "rewritten":
        soundfile.write("in/1.wav", wavs[1][::-1], RATE)
    os.utime("in/1.wav", (1, 1))
    assert run(*options) == 0
    assert encoded[3:] == (["1.wav"] if change == "rewritten" else [])
    assert run("in", "--out", "anew", "-m", "mono", "-j", 1) == 0
    same("anew", "set")


def test_two_at_once(sounds, encoded, monkeypatch):
    """The second waits for the first, and finds the work done."""
    options = (sounds / "b.wav", "-o", "set", "-m", "mono", "-j", 1)
    interrupted(*options)
    said = io.StringIO()  # not `capsys`, which loses what another thread says while it is being read
    monkeypatch.setattr(sys, "stderr", said)
    with exclusive(Path("set", plan.UNFINISHED, "lock")):
        second = threading.Thread(target=run, args=options)
        second.start()
        limit = time.monotonic() + 60
        while "waiting for another process that works on " not in said.getvalue():
            assert second.is_alive() and time.monotonic() < limit, said.getvalue()
            time.sleep(0.01)
        assert run(*options[:-4], "-m", "scaled") == 2  # and this one is refused at once
    second.join(60)
    assert len(open_dataset("set")) == 1 and encoded == ["b.wav"]
    assert not Path("set", plan.UNFINISHED).exists()


def test_files_that_processes_die_of(sounds, whole, encoded):
    """Each death is noted, whichever file it was at; after the fourth the file is left out."""
    path = Path("part-000000.at")
    for n in range(crashes.MOST_CRASHES + 1):
        log = crashes.CrashLog(path)
        assert [log.crashes_at(0), log.crashes_at(1)] == [0, n]  # and here the process dies
    crashes.CrashLog(path).crashes_at(0)
    with crashes.CrashLog(path) as log:
        assert [log.crashes_at(i) for i in range(3)] == [1, crashes.MOST_CRASHES + 1, 0]
    assert not path.exists()

    options = (sounds / "c", "-o", "set", "-m", "mono", "-j", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_work", interrupt)
        assert run(*options) == 130
    Path("set", plan.UNFINISHED, "part-000001.at").write_text(f'["0", {{"0": {crashes.MOST_CRASHES - 1}}}]')
    assert run(*options) == 1
    errors = [json.loads(line) for line in Path("set/errors.jsonl").read_text().splitlines()]
    assert errors[0] == {"name": "d/one.wav", "error": "4 processes died of it"}
    assert "d/one.wav" not in encoded and "e.wav" in encoded


# ---- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("complete", [True, False])
def test_other_work_in_the_same_folder(complete, sounds, capsys):
    options = [sounds / "b.wav", sounds / "c", "--out", "set", "-m", "mono", "-b", 8, "-j", 1]
    if complete:
        assert run(*options) == 1
    else:
        interrupted(*options)
    before = tree("set")
    capsys.readouterr()
    for index, value, message in [(5, "scaled", "begun with model mono, got scaled"), (7, 4, "bandwidth 8.0, got 4.0"),
                                  (0, sounds / "a/x.flac", "begun with inputs 5 files of "),
                                  (9, 3, None)]:
        other = [*options]
        other[index] = value
        if message is None:
            other += ["--shard-size", 3]
            message = "begun with shard_bytes 256000000, got 3000000"
        assert run(*other) == 2
        error = capsys.readouterr().err
        assert message in error and error.endswith("; use another folder, or --force to begin anew\n")
    assert tree("set") == before
    assert run(*options, "--force") == 1
    assert run(sounds / "b.wav", "--out", "new", "-m", "mono", "-b", 4, "-j", 1) == 0
    assert run(sounds / "b.wav", "--out", "set", "-m", "mono", "-b", 4, "--force", "-j", 1) == 0
    same("new", "set")


def test_another_model_under_the_same_name(sounds, home, capsys):
    assert run(sounds / "b.wav", "--out", "set", "-m", home / "models/mono", "-j", 1) == 0
    copy = Path("models/mono")
    copy.mkdir(parents=True)
    for path in (home / "models/mono").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert run(sounds / "b.wav", "--out", "set", "-m", copy, "-j", 1) == 0  # the same elsewhere
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert run(sounds / "b.wav", "--out", "set", "-m", copy, "-j", 1) == 2
    assert "begun with model_sha256" in capsys.readouterr().err


def refused(capsys, *argv):
    assert run(*argv) == 2
    return capsys.readouterr().err


def test_wrong_uses(sounds, capsys):
    assert "expected IN... --out DIR, or --check DIR" in refused(capsys, sounds)
    assert "expected IN... --out DIR, or --check DIR" in refused(capsys, "--out", "set")
    assert "found none" in refused(capsys, "*.wav", "--out", "set")
    assert "model mono: expected 4, 8, 16 kbit/s, got 5" in refused(capsys, sounds, "-o", "set", "-m", "mono", "-b", 5)
    assert "the folder of a dataset and nothing else" in refused(capsys, sounds, "--check", "set")
    assert "expected none with --scheduler" in refused(capsys, sounds, "-o", "s", "-j", 2, "--scheduler", "tcp://x:1")
    assert not Path("set").exists() and not Path("s").exists()
    Path("full").mkdir()
    Path("full/mine.txt").write_text("precious")
    assert "got one with other files" in refused(capsys, sounds, "-o", "full", "-m", "mono")
    assert "got one with other files" in refused(capsys, sounds, "-o", "full", "-m", "mono", "--force")
    assert tree("full") == {"mine.txt": b"precious"}
    os.mkdir("other")
    Path("other/b.wav").write_bytes(b"")
    message = refused(capsys, "other", sounds / "b.wav", "-o", "set", "-m", "mono")
    assert "b.wav: expected one input of this name, got " in message and not Path("set").exists()
    for option, value in [("-j", 0), ("--shard-size", 0), ("--shard-size", "nan"), ("-j", "x")]:
        with pytest.raises(SystemExit, match="2"):
            run(sounds, "-o", "set", option, value)


def test_no_dask(sounds, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    message = refused(capsys, sounds, "-o", "set", "--scheduler", "tcp://localhost:1")
    assert message == ("tinyencodec tokenize: --scheduler: expected dask and distributed, got neither "
                       "(pip install 'tinyencodec[scale]')\n")


def test_all_files_bad(sounds, capsys):
    assert run(sounds / "nan.wav", sounds / "c/empty.wav", "-o", "set", "-m", "mono", "-j", 1) == 1
    assert len(open_dataset("set")) == 0 and open_dataset("set").sizes.shape == (0,)
    assert capsys.readouterr().err.startswith("2 files could not be coded, as set/errors.jsonl tells:\n  empty.wav: ")
    assert run("--check", "set") == 0


def test_a_file_that_is_gone_or_a_folder_that_is_not_seen(sounds, tmp_path, capsys):
    """A file that is missing is one bad file; a missing folder is a machine that does not see the inputs."""
    os.mkdir("in")
    os.symlink("nowhere", "in/x.wav")
    os.mkfifo("pipe.wav")
    assert run("pipe.wav", "-o", "pipe", "-m", "mono", "-j", 1) == 1
    assert "pipe.wav: input: expected a regular file, got " in capsys.readouterr().err
    Path("in/y.wav").write_bytes((sounds / "b.wav").read_bytes())
    assert run("in", "-o", "set", "-m", "mono", "-j", 1) == 1
    assert "x.wav: No such file" in capsys.readouterr().err
    os.symlink("nowhere/x.wav", "in/z.wav")
    files = [plan.InputFile(str(tmp_path / "nowhere/x.wav"), "x.wav", 5, 5)]
    model = plan.model_sha256(Path(os.environ["TINYENCODEC_HOME"], "models/mono"))
    settings = plan.Settings("mono", model, 8.0, 1, tinyencodec.__version__)
    os.mkdir(plan.UNFINISHED)
    job, = plan.make_jobs(tmp_path, settings, files)
    with pytest.raises(ValueError, match="one that does not see them"):
        part.encode_part(job)
    for change, message in [({"version": "0"}, "version 0 on each machine"),
                            ({"model_sha256": "0"}, "expected the same on each machine")]:
        with pytest.raises(ValueError, match=message):
            part.encode_part(job._replace(settings=settings._replace(**change)))
    with pytest.raises(ValueError, match="one that does not see it"):
        part.encode_part(job._replace(folder=str(tmp_path / "nowhere")))


def test_a_full_disk_is_no_bad_file(sounds, monkeypatch):
    """An error while codes are written ends the work: it is not blamed on the sound."""
    class Full:
        def tell(self):
            return 0

        def write(self, data):
            raise OSError(28, "No space left on device")

    model = tinyencodec.load_model("mono")
    with pytest.raises(OSError, match="No space"):
        part._encode_file(model, plan.InputFile(str(sounds / "b.wav"), "b.wav", 1, 1), 8.0, Full())


# ---- checks ----------------------------------------------------------------------------------------------


@pytest.fixture
def copied(whole, tmp_path):
    for name, data in tree(whole).items():
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(data)
    return tmp_path / "set"


def test_check_finds_nothing(copied, capsys):
    assert run("--check", copied) == 0
    assert ": all as it was written" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["shard-00000.safetensors", "shard-00002.safetensors", "manifest.jsonl",
                                  "errors.jsonl"])
def test_check_finds_a_flipped_bit(name, copied, capsys):
    data = bytearray((copied / name).read_bytes())
    data[-3] ^= 4
    (copied / name).write_bytes(data)
    assert run("--check", copied) == 1
    assert capsys.readouterr().err == \
        f"{copied}: {name}: expected the bytes that were written, got others of another SHA-256\n"


def test_check_finds_what_is_short_or_missing(copied, capsys):
    (copied / "manifest.jsonl").write_bytes((copied / "manifest.jsonl").read_bytes()[:-1])
    (copied / "shard-00001.safetensors").unlink()
    assert run("--check", copied) == 1
    error = capsys.readouterr().err
    assert "manifest.jsonl: expected " in error and "shard-00001.safetensors: No such file" in error


def test_no_dataset(tmp_path, capsys):
    assert "found no dataset.json" in refused(capsys, "--check", tmp_path)
    for text, message in [("[]", "a dataset of tinyencodec"), ("{", "expected JSON"), ("[" * 100_000, "expected JSON"),
                          ('{"format": "tinyencodec tokens", "version": 2}', "version: expected 1, got 2"),
                          ('{"format": "tinyencodec tokens", "version": 1, "complete": true}', "model: expected str")]:
        Path("dataset.json").write_text(text)
        assert message in refused(capsys, "--check", tmp_path)


@pytest.mark.parametrize("wrong", ["name", "other", "cut"])
def test_a_shard_that_is_none(wrong, copied):
    about = json.loads((copied / "dataset.json").read_text())
    shard = copied / about["shards"][0]["file"]
    if wrong == "name":
        about["shards"][0]["file"] = "../shard-00000.safetensors"
    elif wrong == "other":
        about["shards"][0]["frames"] += 1
    else:
        shard.write_bytes(shard.read_bytes()[:-8])
    (copied / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="a name without a folder" if wrong == "name" else "expected a shard of this"):
        open_dataset(copied).codes(0)
