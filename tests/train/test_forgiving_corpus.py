"""A corpus made of what people have: one file, links, damaged archives and sounds. What is bad is left out by name."""

import io
import os
import zipfile

import numpy as np
import pytest
import soundfile

from tests.train.test_corpus import RATE, make_sounds
from tinyencodec.train import corpus
from tinyencodec.train.packed import Entry, PackedCorpus, divide, read_manifest
from tinyencodec.train.sounds import find_sounds


def tone(seconds=1.0, rate=RATE):
    return 0.3 * np.sin(0.07 * np.arange(int(seconds * rate)))


def wav_bytes(kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, tone(), RATE, format=kind)
    return file.getvalue()


def pack(folder, out, *options):
    return corpus.main([str(out), "--speech", str(folder), "--rate", str(RATE), "--min-rate", "8000", *options])


def entry(split, seconds, name="a", kind="speech", offset=0):
    return Entry(split, kind, offset, int(seconds * RATE), seconds, RATE, 1, RATE, 1.0, "own", "CC0", name)


# ---- few files


@pytest.mark.parametrize("rows, expected, said", [
    ([("train", 10.0)], {"train": [9.0], "validation": [1.0]}, "the last 1.00 s of a are held out"),
    ([("train", 1.0), ("train", 4.0)], {"train": [1.0, 3.5], "validation": [0.5]}, "the last 0.50 s of b are held out"),
    ([("train", 1.0)] * 8, {"train": [0.5] + [1.0] * 7, "validation": [0.5]}, "held out"),  # at most half of a sound
    ([("train", 1.0)], {"train": [1.0], "validation": []}, "too little to hold out"),
    ([("test", 10.0)], {"train": [9.0], "validation": [1.0], "test": []}, "those for test are learnt from; no whole"),
    ([("validation", 10.0)], {"train": [9.0], "validation": [1.0]}, "those for validation are learnt from"),
    ([("validation", 2.0), ("test", 3.0)], {"train": [3.0], "validation": [2.0]}, "those for test are learnt from"),
    ([("train", 2.0), ("validation", 3.0)], {"train": [2.0], "validation": [3.0]}, ""),
])
def test_a_few_sounds_are_divided(rows, expected, said):
    entries = [entry(split, seconds, name) for (split, seconds), name in zip(rows, "abcdefgh")]
    found, remark = divide(entries)
    for split, seconds in expected.items():
        assert [row.length / RATE for row in found[split]] == seconds == [row.seconds for row in found[split]]
    assert sum(row.length for split in found for row in found[split]) == sum(row.length for row in entries)
    assert said in remark and bool(said) == bool(remark)


@pytest.mark.parametrize("n_files", [1, 2, 5])
def test_every_sample_of_a_few_files_is_in_one_split(tmp_path, n_files, capsys):
    make_sounds(tmp_path / "own", n_files, seconds=4.0)
    assert pack(tmp_path / "own", tmp_path / "packed") == 0
    said = capsys.readouterr().out
    splits = [PackedCorpus(tmp_path / "packed", split, or_none=True) for split in ("train", "validation", "test")]
    train, validation, _ = splits
    assert train.entries and validation.entries and (validation.remark in said)
    rows = {row.name: row for row in read_manifest(tmp_path / "packed")}
    whole = {name: [] for name in rows}
    for split in splits:
        for row in split.entries.get("speech", []):
            whole[row.name].append(split.clip(row, 0, row.length)[0] / row.gain)
    for name, parts in whole.items():
        original, _ = soundfile.read(tmp_path / "own" / name, dtype="float32")
        assert np.abs(np.concatenate(parts) - original).max() < 1e-4


def test_a_split_without_sounds(tmp_path, capsys):
    make_sounds(tmp_path / "own", 1, seconds=0.5)
    assert pack(tmp_path / "own", tmp_path / "packed") == 0
    assert "nothing is validated" in capsys.readouterr().out
    assert PackedCorpus(tmp_path / "packed", "train").seconds("speech") == 0.5
    assert PackedCorpus(tmp_path / "packed", "validation", or_none=True).entries == {}
    with pytest.raises(ValueError, match="expected sounds of the split 'validation', got none"):
        PackedCorpus(tmp_path / "packed", "validation")


# ---- damaged


def damaged_zips():
    """By name, a zip file with one good member, and the names of what is bad in it."""
    def archive(change=None, method=zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as out:
            out.writestr("bad.wav", wav_bytes())
            out.writestr("good.wav", wav_bytes())
            at = out.infolist()[0]
        data = bytearray(file.getvalue())
        directory = data.rfind(b"PK\1\2", 0, data.rfind(b"PK\1\2"))  # the first member's record
        if change:
            change(data, at, directory)
        return bytes(data)

    def set_flag(data, at, directory):
        data[6] |= 1
        data[directory + 8] |= 1

    def set_method(data, at, directory):
        data[8] = data[directory + 10] = 97

    def flip(data, at, directory):
        for i in range(300, 340):
            data[i] ^= 255

    def far_away(data, at, directory):
        data[directory + 42:directory + 46] = b"\xf0\xff\xff\x7f"

    def no_header(data, at, directory):
        data[:4] = b"none"

    whole = archive()
    bad = {f"{name}.zip": (archive(change, method), {f"{name}.zip/bad.wav"}) for name, change, method in (
        ("checksum", flip, zipfile.ZIP_STORED), ("deflate", flip, zipfile.ZIP_DEFLATED),
        ("bzip2", flip, zipfile.ZIP_BZIP2), ("lzma", flip, zipfile.ZIP_LZMA),
        ("encrypted", set_flag, zipfile.ZIP_DEFLATED), ("method", set_method, zipfile.ZIP_DEFLATED),
        ("offset", far_away, zipfile.ZIP_DEFLATED), ("header", no_header, zipfile.ZIP_DEFLATED))}
    garbage = bytearray(whole)
    start = garbage.find(b"PK\1\2")
    garbage[start:start + 200] = os.urandom(200)
    bad |= {name: (data, {name}) for name, data in {
        "cut.zip": whole[:-30], "half.pk3": whole[:len(whole) // 2], "empty.zip": b"", "directory.zip": bytes(garbage),
        "text.zip": b"no archive at all"}.items()}
    return bad


@pytest.mark.parametrize("name", damaged_zips())
def test_a_damaged_archive_is_left_out_by_name(tmp_path, capsys, name):
    """Beside it, and what is whole in it, is packed."""
    (tmp_path / "own").mkdir()
    data, bad = damaged_zips()[name]
    (tmp_path / "own" / name).write_bytes(data)
    (tmp_path / "own" / "beside.wav").write_bytes(wav_bytes())
    assert pack(tmp_path / "own", tmp_path / "packed") == 0
    said = capsys.readouterr()
    assert {line.split(": ")[1] for line in said.err.splitlines() if line.startswith("left out: ")} == bad
    assert f"'unreadable or silent': {len(bad)}" in said.out
    taken = {"beside.wav"} | ({f"{name}/good.wav"} if bad != {name} else set())
    assert {row.name for row in read_manifest(tmp_path / "packed")} == taken


def test_damaged_sounds_are_left_out_by_name(tmp_path, capsys):
    own = tmp_path / "own"
    make_sounds(own, 2)
    flac, ogg = wav_bytes("FLAC"), wav_bytes("OGG")
    bad = {"empty.wav": b"", "text.flac": b"no sound", "cut.flac": flac[:60], "cut.ogg": ogg[:40],
           "no_sample.wav": wav_bytes()[:44], "headless.mp3": bytes(100)}
    for name, data in bad.items():
        (own / name).write_bytes(data)
    soundfile.write(own / "not_a_number.wav", np.full(1000, np.nan), RATE, subtype="FLOAT")
    os.symlink(own / "nowhere.wav", own / "broken_link.wav")
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path / "pipe", own / "pipe.wav")
    assert pack(own, tmp_path / "packed") == 0
    left_out = {line.split(": ")[1] for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")}
    assert left_out == {*bad, "not_a_number.wav", "broken_link.wav", "pipe.wav"}
    assert {row.name for row in read_manifest(tmp_path / "packed")} == {"000.wav", "001.wav"}


def test_a_name_that_is_no_utf8_can_be_written_down(tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb") as fo:
        fo.write(wav_bytes())
    assert [sound.name for sound in find_sounds(tmp_path)] == ["caf\\xe9.wav"]


# ---- links


def test_links_are_followed_and_loops_end(tmp_path):
    """To files, folders and archives; what is reached in two ways comes once, under its first name."""
    make_sounds(tmp_path / "far" / "deep", 2)
    with zipfile.ZipFile(tmp_path / "far.zip", "w") as archive:
        archive.writestr("inside.wav", wav_bytes())
    own = tmp_path / "own"
    make_sounds(own, 1)
    (own / "file.wav").symlink_to(tmp_path / "far" / "deep" / "001.wav")
    (own / "folder").symlink_to(tmp_path / "far", target_is_directory=True)
    (own / "archive.zip").symlink_to(tmp_path / "far.zip")
    (own / "loop").symlink_to(own, target_is_directory=True)
    (tmp_path / "far" / "back").symlink_to(own, target_is_directory=True)
    expected = ["000.wav", "archive.zip/inside.wav", "file.wav", "folder/deep/000.wav"]
    assert [sound.name for sound in find_sounds(own)] == expected
    assert [sound.name for sound in find_sounds(own, links=False)] == ["000.wav"]
    assert pack(own, tmp_path / "packed") == 0
    assert sorted(row.name for row in read_manifest(tmp_path / "packed")) == expected
    (tmp_path / "linked").symlink_to(own, target_is_directory=True)  # the folder itself
    assert [sound.name for sound in find_sounds(tmp_path / "linked")] == expected
