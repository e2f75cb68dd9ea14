"""Gathering, splitting and packing sounds, and mixing clips from them."""

import shutil
import subprocess
import zipfile
from collections import Counter

import numpy as np
import pytest
import soundfile

from tinyencodec.train import corpus, debian
from tinyencodec.train.mixing import Mixer, draw_kinds, reverberate
from tinyencodec.train.packed import KINDS, PackedCorpus, kind_of, read_manifest, split_of
from tinyencodec.train.recipe import Recipe
from tinyencodec.train.sounds import find_sounds

RATE = 12_000


def make_sounds(folder, count, seconds=1.0, rate=RATE, seed=0):
    """Write `count` seeded WAV files of notes under noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    for number in range(count):
        wav = 0.3 * np.sin(2 * np.pi * rng.uniform(80, 800) * t) + 0.03 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{number:03}.wav", wav, rate)


def make_corpus(folder, rate=RATE, channels=1):
    """Pack a small corpus of all kinds; returns its folder."""
    for seed, kind in enumerate(KINDS):
        make_sounds(folder / kind, 40, rate=rate, seed=seed)
    arguments = [f"--{kind}={folder / kind}" for kind in KINDS]
    assert corpus.main([str(folder / "packed"), *arguments, "--rate", str(rate), "--channels", str(channels),
                        "--min-rate", "8000"]) == 0
    return folder / "packed"


def test_build(tmp_path, capsys):
    make_sounds(tmp_path / "own" / "voices", 30)
    make_sounds(tmp_path / "own" / "music", 30, seed=1)
    make_sounds(tmp_path / "own" / "low", 2, rate=7000)
    soundfile.write(tmp_path / "own" / "silent.wav", np.zeros(1000), RATE)
    (tmp_path / "own" / "broken.ogg").write_bytes(b"nothing of the kind")
    with zipfile.ZipFile(tmp_path / "own" / "data.pk3", "w") as archive:
        archive.write(tmp_path / "own" / "voices" / "000.wav", "inside/one.wav")
        archive.writestr("inside/readme.txt", "no sound")
    assert corpus.main([str(tmp_path / "out"), "--effects", str(tmp_path / "own"), "--rate", "12000", "--min-rate",
                        "8000", "--licence", "CC0"]) == 0
    rows = read_manifest(tmp_path / "out")
    assert len(rows) == 61
    assert {row.name for row in rows if "pk3" in row.name} == {"data.pk3/inside/one.wav"}
    assert Counter(row.kind for row in rows) == {"speech": 30, "effects": 1, "music": 30}
    assert all((row.licence, row.package, row.original_rate) == ("CC0", "own", RATE) for row in rows)
    assert all(row.split == split_of(f"own/{row.name}") for row in rows)
    said = capsys.readouterr()
    assert "'below the rate': 2" in said.out and "silent.wav" in said.err and "broken.ogg" in said.err
    # What was packed is what was there, at full scale.
    row = next(row for row in rows if row.split == "train" and row.kind == "speech")
    packed = PackedCorpus(tmp_path / "out", "train")
    original, _ = soundfile.read(tmp_path / "own" / row.name, dtype="float32")
    clip = packed.clip(row, 0, row.length + 5)
    assert np.abs(clip[0, :-5] - original * row.gain).max() < 1e-4 and not clip[0, -5:].any()
    assert np.abs(clip).max() > 0.999


def test_refuses_a_folder_in_use_and_an_empty_one(tmp_path, capsys):
    folder = make_corpus(tmp_path)
    assert corpus.main([str(folder), "--speech", str(tmp_path / "speech")]) == 2
    (tmp_path / "empty").mkdir()
    assert corpus.main([str(tmp_path / "new"), "--music", str(tmp_path / "empty")]) == 2
    assert corpus.main([str(tmp_path / "new2"), "--music", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: expected a folder" in capsys.readouterr().err


def test_splits_hold_whole_names_and_stay():
    names = [f"package/{number}.ogg" for number in range(4000)]
    counts = Counter(map(split_of, names))
    assert 150 < counts["validation"] < 250 and 150 < counts["test"] < 250
    assert split_of("package/1.ogg") == split_of("package/1.ogg")


@pytest.mark.parametrize("name, kind, expected", [
    ("game/Music/a.ogg", "effects", "music"), ("game/voices/old/a.ogg", "effects", "speech"),
    ("game/Music/a.ogg", "speech", "speech"), ("game/a_voices.ogg", "effects", "effects"),
    ("voices", "effects", "effects"),
])
def test_folders_tell_the_kind_among_effects(name, kind, expected):
    assert kind_of(name, kind) == expected


def test_voices_that_are_never_packed(tmp_path, capsys, monkeypatch):
    """Of a package in `TAKEN`, other sounds than those it names, three languages' voices and long ones stay out."""
    package = "tuxpaint-stamps-default"
    wanted = {"a_desc.ogg", "a_desc_ca.ogg", "a_desc_elf.ogg", "a_desc_pt_BR.ogg"}
    for name in wanted | {"a.ogg", "a_desc_fr.ogg", "a_desc_el.ogg", "a_desc_bg.ogg"}:
        (tmp_path / package).mkdir(exist_ok=True)
        soundfile.write(tmp_path / package / name, np.full(16_000, 0.5), 16_000)
    for name, seconds in (("b_desc_ca.ogg", 6.0), ("c_desc_ca.ogg", 5.9)):
        soundfile.write(tmp_path / package / name, np.full(int(seconds * 16_000), 0.5), 16_000)
    wanted.add("c_desc_ca.ogg")
    monkeypatch.setattr(corpus, "PACKAGES", {package: "speech"})
    assert corpus.main([str(tmp_path / "out"), "--debian", str(tmp_path)]) == 0
    assert {row.name for row in read_manifest(tmp_path / "out")} == wanted
    assert "'passed over': 5" in capsys.readouterr().out


def test_packages_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(corpus, "PACKAGES", {"one": "speech", "two": "music", "three": "effects"})
    for package in corpus.PACKAGES:
        make_sounds(tmp_path / package, 1, rate=16_000)
    assert corpus.main([str(tmp_path / "out"), "--debian", str(tmp_path), "--without", "one,three"]) == 0
    assert [row.package for row in read_manifest(tmp_path / "out")] == ["two"]
    assert corpus.main([str(tmp_path / "new"), "--debian", str(tmp_path), "--without", "one,four"]) == 2
    assert "expected some of one, two, three, got four" in capsys.readouterr().err
    assert corpus.main([str(tmp_path / "new"), "--speech", str(tmp_path / "one"), "--without", "two"]) == 2
    assert "--without: expected --debian beside it" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_subset(tmp_path):
    folder = make_corpus(tmp_path)
    limit = 0.5
    assert corpus.main([str(tmp_path / "small"), "--subset", str(folder), "--limit-mb", str(limit)]) == 0
    size = sum(path.stat().st_size for path in (tmp_path / "small").glob("*.i16"))
    assert 0.7 * limit * 2**20 < size <= limit * 2**20
    whole = {row.name: row for row in read_manifest(folder) if row.shard == "train-music.i16"}
    part = PackedCorpus(tmp_path / "small", "train")
    row = part.entries["music"][0]
    assert np.array_equal(part.clip(row, 0, row.length), PackedCorpus(folder, "train").clip(
        whole[row.name], (whole[row.name].length - row.length) // 2, row.length))


def test_stereo(tmp_path):
    packed = PackedCorpus(make_corpus(tmp_path, channels=2), "train")
    assert Mixer(packed, 600, 0).batch(0, 2).shape == (2, 2, 600)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_packages(tmp_path):
    """A package that has been downloaded is unpacked; no network is needed for that."""
    tree = tmp_path / "tree"
    make_sounds(tree / "usr/share/games/x/music", 2)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text("Package: x-music\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\n"
                                         "Description: sounds\n")
    (tree / "usr/share/doc/x-music").mkdir(parents=True)
    (tree / "usr/share/doc/x-music/copyright").write_text(
        "Format: x\n\nFiles: *\nLicense: CC-BY-SA-3.0\n\nFiles: debian/*\nLicense:  GPL-2+\n This is\n")
    subprocess.run(["dpkg-deb", "-b", str(tree), str(tmp_path / "x-music_1_all.deb")], check=True, capture_output=True)
    unpacked = debian.fetch("x-music", tmp_path)
    assert [sound.name for sound in find_sounds(unpacked)] == [f"usr/share/games/x/music/00{i}.wav" for i in (0, 1)]
    assert debian.licence_names(debian.copyright_text(unpacked, "x-music")) == "CC-BY-SA-3.0; GPL-2+"
    assert debian.licence_names("we permit all under the GPL-3 and CC-BY 3.0") == "CC-BY 3.0; GPL-3"
    assert debian.licence_names("") == "see the copyright file"


def test_batches_depend_on_seed_step_and_process_alone(tmp_path):
    packed = PackedCorpus(make_corpus(tmp_path), "train")
    mixer = Mixer(packed, 3000, seed=5)
    batch = mixer.batch(7, 4)
    assert batch.shape == (4, 1, 3000) and batch.dtype == np.float32
    assert np.abs(batch).max() <= 1 and np.isfinite(batch).all()
    assert np.array_equal(batch, Mixer(packed, 3000, seed=5).batch(7, 4))
    for other in (mixer.batch(8, 4), mixer.batch(7, 4, rank=1), Mixer(packed, 3000, seed=6).batch(7, 4)):
        assert not np.array_equal(batch, other)


def test_strategies():
    """Shares as in the paper: 0.32 + half of 0.24 ... of the sources are what they should be."""
    rng = np.random.default_rng(0)
    drawn = [draw_kinds(rng) for _ in range(20_000)]
    sizes = Counter(map(len, drawn))
    assert abs(sizes[1] / 20_000 - 0.64) < 0.01
    assert abs(sizes[2] / 20_000 - 0.24) < 0.01
    assert abs(sizes[3] / 20_000 - 0.12) < 0.01
    assert not any("music" in kinds for kinds in drawn if len(kinds) == 3)
    single = Counter(kinds[0] for kinds in drawn if len(kinds) == 1)
    assert abs(single["music"] / sizes[1] - 0.5) < 0.015


def test_other_shares_of_the_strategies():
    rng = np.random.default_rng(0)
    drawn = [draw_kinds(rng, {"s1": 1, "s2": 3, "s3": 0, "s4": 0}) for _ in range(4000)]
    assert all(len(kinds) == 1 for kinds in drawn)
    assert abs(sum(kinds == ["music"] for kinds in drawn) / 4000 - 0.25) < 0.03
    assert Recipe(s1=0, s2=1, s3=0, s4=0.5).shares() == {"s1": 0, "s2": 1, "s3": 0, "s4": 0.5}
    with pytest.raises(ValueError, match="s1: expected a share above 0, or one for s2, s3 or s4, got 0"):
        Recipe(s1=0, s2=0, s3=0, s4=0)
    with pytest.raises(ValueError, match="s3: expected a number of at least 0, got -1"):
        Recipe(s3=-1)


def test_reverberation_keeps_loudness_and_start():
    rng = np.random.default_rng(0)
    wav = np.zeros((1, 4000), np.float32)
    wav[0, 1000:1200] = rng.standard_normal(200)
    wet = reverberate(wav, RATE, rng)
    assert wet.shape == wav.shape and wet.dtype == np.float32
    assert np.isclose(np.sqrt(np.mean(wet**2)), np.sqrt(np.mean(wav**2)), rtol=1e-3)
    assert np.abs(wet[0, :999]).max() < 1e-6 < np.abs(wet[0, 1500:]).max()
