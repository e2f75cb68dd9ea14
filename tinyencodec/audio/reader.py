"""Sound from a file or a pipe, block by block.

A regular file is libsndfile's business (through `soundfile`), which has to seek. From a pipe, raw PCM and
the usual WAV files (`pcm`) are read here as they arrive. Anything else in a pipe (FLAC, MP3, ...) first goes
to a temporary file on disk, all of it: such a pipe cannot be listened to live.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from tinyencodec.audio.pcm import Pcm, PcmReader, read_wav_header
from tinyencodec.audio.resample import Converter

_BLOCK = 1 << 18  # samples per channel from a file: many tiles, so that threads have work
_PIPED = 1 << 14  # from a pipe, at most; samples are taken as they come
_READ = 1 << 16  # samples per channel asked of libsndfile at once
_FEW = 8  # channels; a file may have 1024, and its blocks are shorter then
_ENDLESS = 1 << 62  # samples; what libsndfile says when a header does not tell is more
_MISLED = 7  # libsndfile's code for .mp3 files without MPEG frames; its text speaks of missing files and pipes


class AudioReader:
    """Iterate, once, over blocks float32 [C, n] (n >= 1) of a sound, at a wanted rate and number of channels.

        with AudioReader("in.flac", model.sample_rate, model.channels) as sound:
            for block in sound: ...

    All blocks together are what `read_audio` returns. Memory is that of a block.

    Parameters
    ----------
    file : a path (a named pipe will do), or a binary file object, which is read from where it stands. If that
        cannot seek, a block is what has arrived, and short; an unbuffered one loses no byte behind the sound.
    sample_rate : Hz to convert to; None: as in the file
    channels : 1 or 2 to convert to; None: as in the file
    raw : the form of raw PCM; None: an audio file of any kind

    Attributes
    ----------
    sample_rate, channels : of the blocks
    source_rate, source_channels : of the file
    length : samples in total, if known beforehand, else None. A damaged file may have fewer.

    Raises
    ------
    OSError : no such file, or it cannot be read.
    ValueError : not audio, no samples, a sample that is not finite, or a rate as in `convert_audio`;
        the message names the file.
    EOFError : a pipe ended before the length in its header.
    """

    def __init__(self, file: str | os.PathLike | BinaryIO, sample_rate: int | None = None,
                 channels: int | None = None, raw: Pcm | None = None) -> None:
        self.name = name_of(file)
        self._files: list = []  # to be closed, the last first
        try:
            with self._blame():
                # Opened here even if libsndfile reads by name, for the operating system's own words when that fails.
                if isinstance(file, (str, os.PathLike)):
                    fo, seekable = self._keep(open(file, "rb", buffering=0)), Path(file).is_file()
                else:
                    fo, seekable = file, file.seekable()
                self._source = self._keep(self._open(file, fo, seekable, raw))
                self.source_rate, self.source_channels = self._source.sample_rate, self._source.channels
                self.sample_rate = self.source_rate if sample_rate is None else sample_rate
                self.channels = self.source_channels if channels is None else channels
                self._converter = Converter(self.source_rate, self.sample_rate, self.source_channels, self.channels)
        except BaseException:
            self.close()
            raise
        length = self._source.length
        self.length = None if length is None else -(-length * self.sample_rate // self.source_rate)

    def _open(self, file: str | os.PathLike | BinaryIO, fo: BinaryIO, seekable: bool,
              raw: Pcm | None) -> "PcmReader | _LibraryReader":
        if raw is not None:
            if not seekable:
                return PcmReader(fo, raw.check(), None, False, _PIPED)
            start = fo.tell()
            size = fo.seek(0, os.SEEK_END) - start
            fo.seek(start)
            return PcmReader(fo, raw.check(), size, True, _shorter(_BLOCK, raw.channels))
        if seekable:
            by_itself = fo is not file or fo.tell() == 0
            return _LibraryReader(file if by_itself else os.dup(self._spool(b"", fo).fileno()))
        replay = _Recorded(fo)
        header = read_wav_header(cast(BinaryIO, replay))
        if header is not None:
            return PcmReader(fo, *header, _PIPED)
        if not replay.data:
            raise ValueError("expected an audio file, got nothing")
        return _LibraryReader(os.dup(self._spool(replay.data, fo).fileno()))

    def _spool(self, start: bytes, fo: BinaryIO) -> BinaryIO:
        """`start` and the rest of `fo` in a temporary file."""
        copy = self._keep(tempfile.TemporaryFile())
        copy.write(start)
        shutil.copyfileobj(fo, copy)
        copy.seek(0)
        return copy  # its descriptor is passed on: a callback from C cannot be interrupted safely

    def _keep(self, file: Any) -> Any:
        self._files.append(file)
        return file

    def __iter__(self) -> Iterator[np.ndarray]:
        ended = False
        while not ended:
            with self._blame():
                block = self._source.read()
                ended = block.shape[1] == 0
                if ended and self._converter.taken == 0:
                    raise ValueError("expected at least one sample, got none")
            # A rate of a few Hz in a header must not make a small block a huge one.
            step = max(1, 8 * _BLOCK * self.source_rate // max(self.sample_rate, self.source_rate))
            for start in range(0, max(1, block.shape[1]), step):
                with self._blame():
                    part = block[:, start:start + step]
                    converted = self._converter.flush() if ended else self._converter.push(part)
                if converted.shape[1]:
                    yield converted

    @property
    def missing(self) -> int:
        """At the end: samples per channel, at the file's rate, that its header promises and that it does not have."""
        return max(0, (self._source.length or 0) - self._converter.taken)

    @contextmanager
    def _blame(self) -> Iterator[None]:
        """Put the file's name before errors that do not tell it."""
        try:
            yield
        except EOFError as error:
            raise EOFError(f"{self.name}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def close(self) -> None:
        """Close what was opened here; a file object that was given stays open."""
        while self._files:
            self._files.pop().close()

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LibraryReader:
    """Samples by libsndfile from a path, a seekable file object or an open file number; errors are `ValueError`."""

    def __init__(self, file: str | os.PathLike | BinaryIO | int) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        try:
            self._sound = soundfile.SoundFile(file)
        except TypeError:
            raise ValueError("expected an audio file, got the suffix .raw, which tells no sample rate") from None
        except self._error as error:
            raise self._unreadable(error) from None
        self.sample_rate, self.channels = self._sound.samplerate, self._sound.channels
        self.length = self._sound.frames if 0 < self._sound.frames < _ENDLESS else None

    def read(self) -> np.ndarray:
        """The next samples, float32 [C, n]; n = 0 at the end."""
        blocks = [np.zeros((0, self.channels), np.float32)]
        try:
            # In small portions: the length in a broken header must not become one huge buffer.
            for _ in range(_BLOCK // _READ):
                blocks.append(self._sound.read(_shorter(_READ, self.channels), dtype="float32", always_2d=True))
                if not len(blocks[-1]):
                    break
        except self._error as error:
            raise self._unreadable(error) from None
        return np.ascontiguousarray(np.concatenate(blocks).T)  # [n, C] -> [C, n]

    def _unreadable(self, error: Any) -> ValueError:
        reason = "not what its suffix says" if error.code == _MISLED else error.error_string.rstrip(".")
        return ValueError(f"expected an audio file, got something unreadable ({reason})")

    def close(self) -> None:
        """Close libsndfile's side."""
        self._sound.close()


def _shorter(samples: int, channels: int) -> int:
    """So many samples, or fewer if there are many channels."""
    return max(1, samples * _FEW // max(_FEW, channels))


class _Recorded:
    """A file that remembers what was read from it."""

    def __init__(self, fo: BinaryIO) -> None:
        self._fo, self.data = fo, b""

    def read(self, size: int) -> bytes:
        piece = self._fo.read(size)
        self.data += piece
        return piece


def name_of(file: str | os.PathLike | BinaryIO) -> str:
    """What to call a file in a message."""
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
    return "standard input" if name == 0 else name if isinstance(name, str) else "audio"
