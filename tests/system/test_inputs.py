"""Files, folders and patterns to a list of files; expected lists are written out by hand."""

import os
from pathlib import Path, PurePosixPath

import pytest

from tinyencodec.system.inputs import Found, find_inputs

SUFFIXES = (".wav", ".flac")
ODD = ["[1] a*b?.wav", "new\nline.wav", "ä ö.wav", os.fsdecode(b"\xff\xfe.wav"), " .wav", "-b.wav", "a.b.wav"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names(*patterns):
    return [os.fspath(found.name) for found in find_inputs(patterns, SUFFIXES)]


def paths(*patterns):
    return [os.fspath(found.path) for found in find_inputs(patterns, SUFFIXES)]


def test_a_file_whatever_its_suffix():
    make("songs/x.raw")
    assert find_inputs(["songs/x.raw"], SUFFIXES) == [Found(Path("songs/x.raw"), PurePosixPath("x.raw"))]


def test_a_folder_with_its_folders():
    make("in/b.wav", "in/a.FLAC", "in/sub/deep/c.wav", "in/sub-2/c.wav", "in/notes.txt", "in/wav", "in/x.wav.part")
    expected = ["a.FLAC", "b.wav", "sub/deep/c.wav", "sub-2/c.wav"]  # by their parts: "sub" before "sub-2"
    assert names("in") == names("in/") == names("./in") == names(os.path.abspath("in")) == names("in/../in") == expected
    assert paths("in") == [f"in/{name}" for name in expected]
    os.chdir("in")
    assert names(".") == paths(".") == expected


def test_hidden_files_are_not_meant_unless_named():
    make("in/.x.wav", "in/.git/y.wav", "in/z.wav", "in/a/.b/c.wav")
    assert names("in") == names("in/**/*.wav") == names("in/*") == ["z.wav"]
    assert names("in/.x.wav") == [".x.wav"] and names("in/.git") == ["y.wav"]
    assert names("in/.*") == [".git/y.wav", ".x.wav"]
    assert names("in/**/.b/*") == ["a/.b/c.wav"]


@pytest.mark.parametrize("pattern, expected", [
    ("in/*.wav", ["1.wav", "2.wav"]),
    ("in/*", ["1.wav", "2.wav", "3.flac", "a/4.wav", "a/b/5.wav", "c/6.flac"]),  # folders are walked
    ("in/**/*.wav", ["1.wav", "2.wav", "a/4.wav", "a/b/5.wav"]),
    ("in/**/**/*.wav", ["1.wav", "2.wav", "a/4.wav", "a/b/5.wav"]),
    ("in/**", ["1.wav", "2.wav", "3.flac", "a/4.wav", "a/b/5.wav", "c/6.flac"]),
    ("in/**/b", ["a/b/5.wav"]),
    ("in/**/b/*", ["a/b/5.wav"]),
    ("in/?/*", ["a/4.wav", "a/b/5.wav", "c/6.flac"]),
    ("in/[ab]/*.wav", ["a/4.wav"]),
    ("in/[!1].wav", ["2.wav"]),
    ("*/a/4.wav", ["in/a/4.wav"]),
    ("**/4.wav", ["in/a/4.wav"]),
    ("./i?/a/b", ["in/a/b/5.wav"]),
])
def test_patterns(pattern, expected):
    make("in/1.wav", "in/2.wav", "in/3.flac", "in/a/4.wav", "in/a/b/5.wav", "in/c/6.flac", "in/c/notes.txt")
    assert names(pattern) == expected
    assert names(os.path.join(os.getcwd(), pattern)) == expected


def test_in_the_order_given_and_once():
    make("in/1.wav", "in/2.wav", "in/a/3.wav")
    assert names("in/2.wav", "in", "in/a/3.wav") == ["2.wav", "1.wav", "a/3.wav"]
    assert names("in/a", "in/*.wav", "in/**") == ["3.wav", "1.wav", "2.wav"]


def test_links():
    make("in/b/1.wav", "elsewhere/2.wav")
    os.symlink("1.wav", "in/b/same.wav")
    os.symlink("b", "in/a")
    os.symlink("../../elsewhere", "in/b/more")
    os.symlink("nowhere", "in/dangling.wav")
    assert names("in") == names("in/**/*.wav") == ["a/1.wav", "a/more/2.wav", "dangling.wav"]
    assert names("in/dangling.wav") == ["dangling.wav"]
    assert names("in/b/same.wav", "in/b/1.wav") == ["same.wav"]


def test_links_that_go_round():
    make("in/a/1.wav", "in/b/2.wav")
    for link, target in (("in/a/up", ".."), ("in/b/up", "../.."), ("in/b/here", "."), ("in/self.wav", "self.wav")):
        os.symlink(target, link)
    assert names("in") == ["a/1.wav", "b/2.wav", "self.wav"]
    assert sorted(os.path.realpath(path) for path in paths("in/**/*.wav")) == \
        [os.path.abspath(path) for path in ("in/a/1.wav", "in/b/2.wav", "in/self.wav")]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(name):
    try:
        make(f"in/{name}", f"[in] {name}/x.wav")
    except OSError:
        pytest.skip("no such names on this file system")
    assert names("in") == names(f"in/{name}") == names("in/*") == [name]
    assert names(f"[in] {name}/**/*.wav") == names(f"[in] {name}") == ["x.wav"]


@pytest.mark.parametrize("pattern", ["nowhere", "in", "in/*.wav", "nowhere/**/*.wav", "in/notes.txt/*",
                                     "in/notes.txt/a", "nul\0", "nul\0*"])
def test_nothing_found(pattern):
    make("in/notes.txt", "other/x.wav", "in/pipe.wav.txt")
    os.mkfifo("in/pipe.wav")
    with pytest.raises(ValueError) as error:
        names("other", pattern)
    assert str(error.value) == (f"{pattern}: expected a file, or a folder or pattern of files ending in .wav, .flac, "
                                "found none")


def test_an_empty_name():
    with pytest.raises(ValueError, match="^expected the name of a file or folder, or a pattern, got an empty one$"):
        names("")


def test_a_folder_that_cannot_be_read(monkeypatch):
    make("in/a/1.wav")
    scandir = os.scandir

    def refuse(folder):
        if os.fspath(folder) == "in/a":
            raise PermissionError(13, "Permission denied", "in/a")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="in/a"):
        names("in")
