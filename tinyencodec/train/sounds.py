"""The sounds below a folder: audio files of all kinds, also inside zip archives, read at one rate.

libsndfile reads most of them (`tinyencodec.read_audio`). Game data often lies in `.pk3` files, which are zip
archives. G.722, the wideband telephone codec (16 kHz), is decoded by the ffmpeg program; without it, such files are
left out.
"""

import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tinyencodec.audio.files import convert_audio, read_audio

_SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au"}
_ARCHIVES = {".pk3", ".zip"}
_G722_RATE = 16_000  # Hz


@dataclass(frozen=True)
class Sound:
    """One audio file.

    name : path below the folder that was searched, with the name inside its archive if it lies in one
    path : the file, or the archive
    member : its name in the archive, or None
    """

    name: str
    path: Path
    member: str | None = None

    def rate(self) -> int:
        """Its sample rate in Hz. Raises `ValueError` if it is not audio."""
        if self.name.endswith(".g722"):
            return _G722_RATE
        try:
            return soundfile.info(self._open()).samplerate
        except (soundfile.LibsndfileError, TypeError) as error:
            raise ValueError(f"{self.name}: expected audio, got {error}") from None

    def read(self, sample_rate: int, channels: int) -> np.ndarray:
        """float32 [C, T] at `sample_rate`. Raises `ValueError`, `EOFError` or `OSError` as `read_audio`."""
        if not self.name.endswith(".g722"):
            return read_audio(self._open(), sample_rate, channels)
        done = subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "g722", "-i", str(self.path), "-f", "s16le", "-"],
                              capture_output=True)
        if done.returncode or not done.stdout:
            raise ValueError(f"{self.name}: expected G.722, got {done.stderr.decode(errors='replace').strip()[:200]}")
        wav = np.frombuffer(done.stdout, "<i2").astype(np.float32)[None] / 32768
        return convert_audio(wav, _G722_RATE, sample_rate, channels)

    def _open(self) -> io.BytesIO | str:
        if self.member is None:
            return str(self.path)
        with zipfile.ZipFile(self.path) as archive:
            return io.BytesIO(archive.read(self.member))


def find_sounds(folder: Path) -> Iterator[Sound]:
    """Yield the sounds below `folder`, in the order of their names."""
    suffixes = _SUFFIXES | ({".g722"} if shutil.which("ffmpeg") else set())
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in suffixes:
            yield Sound(name, path)
        elif path.suffix.lower() in _ARCHIVES and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = sorted(m for m in archive.namelist() if Path(m).suffix.lower() in _SUFFIXES)
            yield from (Sound(f"{name}/{member}", path, member) for member in members)
