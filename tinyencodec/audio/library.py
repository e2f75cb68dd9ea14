"""Sound through libsndfile (by way of `soundfile`), read until the decoder says that it ends.

libsndfile stops at the number of samples that it told at the beginning. For MPEG audio without a table of its frames
that number is a guess. From a pipe it tells none, and reads to the end: so `Fed` makes one.
"""

import os
import re
import threading
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

BLOCK = 1 << 18  # samples per channel from a file: many tiles, so that threads have work
_READ = 1 << 16  # samples per channel asked of libsndfile at once
_FEW = 8  # channels; a file may have 1024, and its blocks are shorter then
_ENDLESS = 1 << 62  # samples; what libsndfile says when a header does not tell is more
UNENDED = "the end is missing; there may have been more"  # a remark
_PATIENCE = 1.0  # seconds; the thread ends at once, unless a child process holds the pipe too
# Of these formats libsndfile tells the samples that are there, not those that the header promises. Its log has them,
# or the text at the beginning of a NIST file.
_CLIPPED = ("AVR", "MAT4", "MAT5", "MPC2K", "NIST", "SVX", "VOC")
_COUNT = re.compile(r"(?:Frames +:|Cols +:|OneShotHiSamples +:|sample_count -i) (\d+)")
_CUT = re.compile("should be|truncated")
_MISLED = 7  # libsndfile's code for .mp3 files without MPEG frames; its text speaks of missing files and pipes


class LibraryReader:
    """Samples by libsndfile from a path, a file object that can seek, or an open file number, which it closes.

    Parameters
    ----------
    last : samples after which an error is the end: the last frame breaks off; None: an error is an error
    least : samples that there would be if nothing were missing at the end; for files that promise no number
    head : the beginning of the file, if it is at hand

    Attributes
    ----------
    length : samples that libsndfile tells beforehand, or None
    taken : samples read so far
    guesses : whether that may be a guess
    promised : samples that a header promises; None: no promise
    cut : bytes that are missing at the end for each that is there
    missing : promised samples that were not there; holds at the end
    remark : what else is to be told

    Raises
    ------
    ValueError : what libsndfile does not read.
    """

    def __init__(self, file: str | os.PathLike | BinaryIO | int, last: int | None = None, least: int = 0,
                 head: bytes = b"") -> None:
        import soundfile

        class File(soundfile.SoundFile):
            """Reads on. soundfile would seek after each read: not all can, and MPEG decoders lose their state by it."""

            def seekable(self) -> bool:
                return False

        self._error, self._last, self._least = soundfile.LibsndfileError, last, least
        self.taken, self.cut, self.missing, self.remark = 0, 0.0, 0, ""
        try:
            self._sound = File(file)
        except TypeError:
            raise ValueError("expected an audio file, got the suffix .raw, which tells no sample rate") from None
        except self._error as error:
            raise self._unreadable(error) from None
        self.sample_rate, self.channels = self._sound.samplerate, self._sound.channels
        self.guesses = self._sound.format == "MP3"
        self.length = self.promised = self._sound.frames if 0 < self._sound.frames < _ENDLESS else None
        if self._sound.format in _CLIPPED:
            log = self._sound.extra_info + head.decode("latin1")
            told = _COUNT.findall(log)
            self.promised = int(told[-1]) if told else self.promised
            self.remark = "ends before its header says" if not told and _CUT.search(log) else ""

    def read(self) -> np.ndarray:
        """The next samples, float32 [C, n]; n = 0 at the end."""
        blocks = [np.zeros((0, self.channels), np.float32)]
        # In small portions: the length in a broken header must not become one huge buffer.
        for _ in range(BLOCK // _READ):
            blocks.append(self._portion(shorter(_READ, self.channels)))
            self.taken += len(blocks[-1])
            if not len(blocks[-1]):
                self.missing = max(self.missing, (self.promised or 0) - self.taken, round(self.cut * self.taken))
                self.remark = self.remark or (UNENDED if not self.promised and self.taken < self._least else "")
                break
        return np.ascontiguousarray(np.concatenate(blocks).T)  # [n, C] -> [C, n]

    def _portion(self, size: int) -> np.ndarray:
        out = np.empty((size, self.channels), np.float32) if self._last is None else \
            np.full((size, self.channels), np.nan, np.float32)
        try:
            return self._sound.read(out=out)
        except self._error as error:
            good = int(np.cumprod(~np.isnan(out[:, -1])).sum())  # what was decoded before, of no use without `last`
            if self._last is None or self.taken + good < max(1, self._last):
                raise self._unreadable(error) from None
            self._last = self.taken + good
            return out[:good]

    def _unreadable(self, error: Any) -> ValueError:
        reason = "not what its suffix says" if error.code == _MISLED else error.error_string.rstrip(".")
        return ValueError(f"expected an audio file, got something unreadable ({reason})")

    def close(self) -> None:
        """Close libsndfile's side."""
        self._sound.close()


class Fed(LibraryReader):
    """Samples from bytes that come in pieces, which a thread puts into a pipe."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        reading, self._writing = os.pipe()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, args=(pieces,), daemon=True)
        self._thread.start()
        try:
            super().__init__(reading)
        except BaseException:
            self._thread.join(_PATIENCE)
            raise

    def _feed(self, pieces: Iterable[bytes]) -> None:
        try:
            with open(self._writing, "wb", buffering=1 << 16) as fo:
                for piece in pieces:
                    fo.write(piece)
        except BrokenPipeError:  # enough, says libsndfile
            pass
        except BaseException as error:
            self._failed = error

    def read(self) -> np.ndarray:
        """The next samples, float32 [C, n]; n = 0 at the end."""
        block = super().read()
        if self._failed is not None:
            raise self._failed
        return block

    def close(self) -> None:
        """Close both ends."""
        super().close()
        self._thread.join(_PATIENCE)


def shorter(samples: int, channels: int) -> int:
    """So many samples, or fewer if there are many channels."""
    return max(1, samples * _FEW // max(_FEW, channels))
