"""Sound into a file or a pipe, block by block.

16-bit PCM as WAV or FLAC, Vorbis, or raw PCM. Samples beyond +-0.99 of full scale are clipped there, as the
official program does, or the whole signal is scaled down to that peak: then it waits, as floats, in a
temporary file until the peak is known. Raw floats are not clipped. A WAV file is written here, since it goes
to pipes too; FLAC and Ogg files by libsndfile, which must seek: for a pipe they are made on disk first.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tinyencodec.audio import pcm
from tinyencodec.audio.resample import checked_audio, checked_rate
from tinyencodec.system.files import is_rewritable
from tinyencodec.system.signals import deferred

PEAK_LIMIT = 0.99  # of full scale; what is louder is clipped or scaled down when written
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}  # written, by suffix

_SUBTYPES = {"FLAC": "PCM_16", "OGG": "VORBIS"}
_BLOCK = 1 << 16  # samples per channel written at once; one long write of Vorbis overflows libsndfile's stack


class AudioWriter:
    """Write a sound that comes in blocks; a context, whose end without an error completes the file.

        with atomic_write("out.wav") as fo, AudioWriter(fo, "WAV", 24_000, 1) as writer:
            for block in sound:
                writer.write(block)

    Each block of WAV or raw PCM goes out at once. In a WAV header that cannot be completed at the end, as in
    a pipe, the length is 0xFFFFFFFF unless it is known.

    Parameters
    ----------
    fo : binary file object
    kind : "WAV", "FLAC", "OGG", or for raw PCM "s16le", "f32le"
    sample_rate : Hz
    channels : C
    length : samples that will come, if known
    rescale : scale a sound that is too loud rather than clip it

    Attributes
    ----------
    peak : the largest absolute sample so far
    clipped : whether samples have been clipped

    Raises
    ------
    ValueError : a rate or channel count that the format cannot have, too much for a WAV file, another
        length than announced; in `write`, as `convert_audio` for the signal.
    OSError : the disk is full.
    """

    def __init__(self, fo: BinaryIO, kind: str, sample_rate: int, channels: int, length: int | None = None,
                 rescale: bool = False) -> None:
        self.sample_rate, self.channels, self.peak = checked_rate(sample_rate), channels, 0.0
        self._limited = kind != "f32le"
        self._taken = 0
        if kind in pcm.RAW:
            self._encoder: _RawEncoder | _LibraryEncoder = _RawEncoder(fo, kind)
        elif kind == "WAV":
            self._encoder = _WavEncoder(fo, sample_rate, channels, length)
        else:
            self._encoder = _LibraryEncoder(fo, kind, sample_rate, channels)
        self._waiting = temporary_file(fo) if rescale else None

    @property
    def clipped(self) -> bool:
        return self._limited and self._waiting is None and self.peak > PEAK_LIMIT

    def write(self, wav: np.ndarray) -> None:
        """Take the next samples, float [C, n]; n may be 0."""
        if np.shape(wav)[1:] == (0,):
            return
        wav = checked_audio(wav, self.sample_rate, self._taken)
        if len(wav) != self.channels:
            raise ValueError(f"audio: expected {self.channels} channels, got {len(wav)}")
        self._taken += wav.shape[1]
        self.peak = max(self.peak, float(np.abs(wav).max()))
        if self._waiting is not None:
            self._waiting.write(wav.T.tobytes())  # [C, n] -> [n, C]
        else:
            self._encode(wav)

    def _encode(self, wav: np.ndarray) -> None:
        self._encoder.write(np.clip(wav, -PEAK_LIMIT, PEAK_LIMIT) if self._limited else wav)

    def finish(self) -> None:
        """Write what waits for the end: a sound to be scaled, a header to be completed."""
        if self._waiting is not None:
            gain = np.float32(PEAK_LIMIT / max(self.peak, PEAK_LIMIT))
            self._waiting.seek(0)
            while data := self._waiting.read(4 * self.channels * _BLOCK):
                self._encode(np.frombuffer(data, np.float32).reshape(-1, self.channels).T * gain)  # -> [C, n]
        self._encoder.finish()

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            if self._waiting is not None:
                self._waiting.close()
            self._encoder.close()


class _RawEncoder:
    def __init__(self, fo: BinaryIO, encoding: str) -> None:
        self._fo, self._encoding = fo, encoding

    def write(self, wav: np.ndarray) -> None:
        self._fo.write(pcm.encode(wav, self._encoding))
        self._fo.flush()

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class _WavEncoder(_RawEncoder):
    """The header goes out with the first samples and, where that can be done, is corrected at the end."""

    def __init__(self, fo: BinaryIO, sample_rate: int, channels: int, length: int | None) -> None:
        super().__init__(fo, "s16le")
        self._form = sample_rate, channels
        self._written = 0  # samples
        self._most = pcm.MAX_WAV_DATA // (2 * channels)
        self._start = fo.tell() if is_rewritable(fo) else None
        if length is not None and length > self._most:
            self._check_size(length)
            length = None
        self._length = length
        pcm.wav_header(*self._form, length)  # raises before anything is written

    def _check_size(self, length: int) -> None:
        if length > self._most and self._start is not None:
            raise ValueError(f"expected at most {pcm.MAX_WAV_DATA} bytes for a WAV file, "
                             f"got {length * 2 * self._form[1]}; use .flac")

    def write(self, wav: np.ndarray) -> None:
        if not self._written:
            self._fo.write(pcm.wav_header(*self._form, self._length))
        self._written += wav.shape[1]
        self._check_size(self._written)
        super().write(wav)

    def finish(self) -> None:
        if self._start is None:
            if self._length not in (None, self._written):
                raise ValueError(f"audio: expected {self._length} samples as announced, got {self._written}")
        elif self._length != self._written:
            self._fo.seek(self._start)
            self._fo.write(pcm.wav_header(*self._form, self._written))
            self._fo.seek(0, os.SEEK_END)


class _LibraryEncoder:
    def __init__(self, fo: BinaryIO, kind: str, sample_rate: int, channels: int) -> None:
        import soundfile

        self._library, self._dest = soundfile, fo
        self._file = _Careful(fo if is_rewritable(fo) else temporary_file(fo))
        try:
            with deferred():
                self._sound = soundfile.SoundFile(self._file, "w", sample_rate, channels, _SUBTYPES[kind], format=kind)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"expected a signal that {kind} can hold, got {channels} channels at {sample_rate} Hz "
                             f"({error.error_string.rstrip('.')})") from None

    def write(self, wav: np.ndarray) -> None:
        values = np.rint(wav * np.float32(32768)).astype(np.int16).T  # [C, n] -> [n, C]
        for start in range(0, len(values), _BLOCK):
            try:
                with deferred():
                    self._sound.write(values[start:start + _BLOCK])
            except (AssertionError, self._library.LibsndfileError):
                self._file.check()
                raise

    def finish(self) -> None:
        with deferred():
            self._sound.close()
        self._file.check()
        if self._file.fo is not self._dest:
            self._file.fo.seek(0)
            shutil.copyfileobj(self._file.fo, self._dest)

    def close(self) -> None:
        with deferred():
            self._sound.close()
        if self._file.fo is not self._dest:
            self._file.fo.close()


class _Careful:
    """A file for libsndfile, whose callbacks may not raise: an error is kept until asked for, and signals wait."""

    def __init__(self, fo: BinaryIO) -> None:
        self.fo = fo
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._try(0, self.fo.write, data)

    def seek(self, *where: int) -> int:
        return self._try(-1, self.fo.seek, *where)

    def tell(self) -> int:
        return self._try(-1, self.fo.tell)

    def _try(self, failed: int, call: Callable[..., int], *arguments: Any) -> int:
        try:
            return call(*arguments)
        except OSError as error:
            self.error = error
        except ValueError:  # closed: when all was interrupted, the library may be the last to know
            pass
        return failed

    def check(self) -> None:
        """Raise the error that a call met."""
        if self.error is not None:
            raise self.error


def temporary_file(fo: BinaryIO) -> BinaryIO:
    """A nameless file on the disk that `fo` is on, if that can be told: the usual place may be in memory."""
    name = getattr(fo, "name", None)
    folder = os.path.dirname(os.path.abspath(name)) if isinstance(name, str) and Path(name).is_file() else None
    return tempfile.TemporaryFile(dir=folder)
