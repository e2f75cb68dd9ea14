"""The sounds below a folder: audio files of all kinds, also inside zip archives, read at one rate.

libsndfile reads most of them (`tinyencodec.read_audio`). Game data often lies in `.pk3` files, which are zip
archives. G.722, the wideband telephone codec (16 kHz), is decoded by the ffmpeg program; without it, such files are
left out.

Collections of many thousand files hold damaged ones. Whatever is wrong with one of them, it is a `ValueError` or an
`OSError` when that sound is read, and an archive that cannot be opened is a sound that cannot be read: whoever goes
through the sounds can leave it out, and say so.
"""

import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tinyencodec.audio.files import convert_audio, read_audio
from tinyencodec.audio.reader import AudioReader
from tinyencodec.system.inputs import AUDIO, Found, find_inputs

_ARCHIVES = (".pk3", ".zip")
_G722, _G722_RATE = ".g722", 16_000  # Hz


@dataclass(frozen=True)
class Sound:
    """One audio file.

    name : path below the folder that was searched, with the name inside its archive if it lies in one
    path : the file, or the archive
    member : its name in the archive, or None
    damage : why there is nothing to be read, of an archive that cannot be opened
    """

    name: str
    path: Path
    member: str | None = None
    damage: str = ""

    def rate(self) -> int:
        """Its sample rate in Hz. Raises `ValueError` or `OSError` if it is not audio."""
        if self.name.endswith(_G722):
            return _G722_RATE
        with AudioReader(self._open()) as sound:
            return sound.source_rate

    def read(self, sample_rate: int, channels: int) -> np.ndarray:
        """float32 [C, T] at `sample_rate`. Raises `ValueError`, `EOFError` or `OSError` as `read_audio`."""
        if not self.name.endswith(_G722):
            return read_audio(self._open(), sample_rate, channels)
        done = subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "g722", "-i", self.path, "-f", "s16le", "-"],
                              capture_output=True)
        if done.returncode or not done.stdout:
            raise ValueError(f"expected G.722, got {done.stderr.decode(errors='replace').strip()[:200]}")
        wav = np.frombuffer(done.stdout, "<i2").astype(np.float32)[None] / 32768
        return convert_audio(wav, _G722_RATE, sample_rate, channels)

    def _open(self) -> io.BytesIO | Path:
        if self.damage:
            raise ValueError(f"expected a zip archive, got {self.damage}")
        if self.path.exists() and not self.path.is_file():  # a link to a pipe or a device, which may have no end
            raise ValueError("expected a file, got something else")
        if self.member is None:
            return self.path
        try:
            with zipfile.ZipFile(self.path) as archive:
                return io.BytesIO(archive.read(self.member))
        except OSError:
            raise
        except Exception as error:  # zipfile and its decompressors raise a wide choice of errors
            raise ValueError(f"expected a whole member of an archive, got {error!r:.200}") from None


def find_sounds(folder: Path, links: bool = True) -> Iterator[Sound]:
    """Yield the sounds below `folder`, in the order of their names.

    links : follow symbolic links to files and folders; a file that is reached in several ways comes once
    """
    suffixes = (*AUDIO, *([_G722] if shutil.which("ffmpeg") else []))
    for found in _files(folder, (*suffixes, *_ARCHIVES), links):
        name = readable(found.name.as_posix())
        if found.path.suffix.lower() in _ARCHIVES:
            yield from _members(name, found.path)
        else:
            yield Sound(name, found.path)


def readable(name: str) -> str:
    """A file's name for a table: bytes that are no UTF-8 as escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _files(folder: Path, suffixes: tuple[str, ...], links: bool) -> list[Found]:
    if not links:
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return [Found(path, PurePosixPath(path.relative_to(folder))) for path in paths
                if path.suffix.lower() in suffixes]
    try:
        return find_inputs([os.fspath(folder)], suffixes)
    except ValueError:  # there are none
        return []


def _members(name: str, path: Path) -> Iterator[Sound]:
    """The sounds in an archive; one that cannot be read if the archive cannot."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(member for member in archive.namelist() if member.lower().endswith(AUDIO))
    except Exception as error:  # as above
        yield Sound(name, path, damage=f"{error!r:.200}")
        return
    yield from (Sound(f"{name}/{member}", path, member) for member in members)
