"""Sound from a file or a pipe, block by block.

From a pipe, raw PCM and plain samples behind a header (`headers`) are read as they arrive. Anything else in a pipe
(FLAC, MP3, ...) first goes to a temporary file on disk, all of it: such a pipe cannot be listened to live. What reads
a file then, `sources` finds by its content.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np

from tinyencodec.audio.headers import read_header
from tinyencodec.audio.library import BLOCK, shorter
from tinyencodec.audio.parts import COPIED, Source, spooled
from tinyencodec.audio.pcm import Pcm, PcmReader
from tinyencodec.audio.resample import Converter
from tinyencodec.audio.sources import PIPED, piped_sources, sources
from tinyencodec.system.errors import blame

_EMPTY = "expected at least one sample, got none"


class AudioReader:
    """Iterate, once, over blocks float32 [C, n] (n >= 1) of a sound, at a wanted rate and number of channels.

        with AudioReader("in.flac", model.sample_rate, model.channels) as sound:
            for block in sound: ...

    All blocks together are what `read_audio` returns. Memory is that of a block.

    Parameters
    ----------
    file : a path (a named pipe will do), or a binary file object, which is read from where it stands, to its end.
        If that cannot seek, a block is what has arrived, and short.
    sample_rate : Hz to convert to; None: as in the file
    channels : 1 or 2 to convert to; None: as in the file
    raw : the form of raw PCM; None: an audio file of any kind

    Attributes
    ----------
    sample_rate, channels : of the blocks
    source_rate, source_channels : of the file; of its first part, if it has several
    length : samples in total, if certain beforehand, else None. A damaged file may have fewer.
    announced : the same; in a pipe, where nothing is certain, what a header says
    missing : at the end: samples per channel, at the file's rate, that its header promises and that it does not have
    remarks : at the end: what the user should be told about the sound, one line each, with the name of the file

    Raises
    ------
    OSError : no such file, or it cannot be read.
    ValueError : not audio, no samples, a sample that is not finite, or a rate as in `convert_audio`;
        the message names the file.
    """

    def __init__(self, file: str | os.PathLike | BinaryIO, sample_rate: int | None = None,
                 channels: int | None = None, raw: Pcm | None = None) -> None:
        self.name, self.missing = name_of(file), 0
        self.remarks: list[str] = []
        self._source: Source | None = None
        self._announced: int | None = None  # samples at the file's rate
        self._missing = 0.0  # seconds
        self._files: list = []  # to be closed, the last first
        try:
            with blame(self.name):
                if isinstance(file, (str, os.PathLike)):
                    fo = self._keep(open(file, "rb", buffering=0))
                    self._sources = self._open(fo, file, raw)
                else:
                    self._sources = self._open(file, None, raw)
                self._keep(self._sources)
                source = self._source = next(self._sources, None)
                if source is None:
                    raise ValueError(_EMPTY)
                self.source_rate, self.source_channels = source.sample_rate, source.channels
                self.sample_rate = self.source_rate if sample_rate is None else sample_rate
                self.channels = self.source_channels if channels is None else channels
                Converter(self.source_rate, self.sample_rate, self.source_channels, self.channels)  # raises at once
        except BaseException:
            self.close()
            raise
        self.length, self.announced = (
            None if length is None else -(-length * self.sample_rate // self.source_rate)
            for length in (source.length, self._announced or source.length))

    def _open(self, fo: BinaryIO, path: str | os.PathLike | None, raw: Pcm | None) -> Iterator[Source]:
        seekable = fo.seekable() and (path is None or os.path.isfile(path))
        if raw is not None:
            raw.check()
            if not seekable:
                return iter([PcmReader(fo, raw, None, None, PIPED)])
            start = fo.tell()
            size = fo.seek(0, os.SEEK_END) - start
            fo.seek(start)
            return iter([PcmReader(fo, raw, size, None, shorter(BLOCK, raw.channels))])
        if seekable:
            return sources(fo if fo.tell() == 0 else self._spool(b"", fo), path)
        replay = _Recorded(fo)
        header = read_header(cast(BinaryIO, replay))
        if header is not None and header.pcm is not None:
            self._announced = header.size and header.size // header.pcm.width
            return piped_sources(fo, header)
        if not replay.data:
            raise ValueError("expected an audio file, got nothing")
        return sources(self._spool(replay.data, fo))

    def _spool(self, start: bytes, fo: BinaryIO) -> BinaryIO:
        """`start` and the rest of `fo` in a temporary file."""
        return self._keep(spooled(itertools.chain([start], iter(lambda: fo.read(COPIED), b""))))

    def _keep(self, file: Any) -> Any:
        if hasattr(file, "close"):
            self._files.append(file)
        return file

    def __iter__(self) -> Iterator[np.ndarray]:
        seconds, first, changed = 0.0, _form(self._source), False
        while self._source is not None:
            rate = self._source.sample_rate
            with blame(self.name):
                converter = Converter(rate, self.sample_rate, self._source.channels, self.channels)
            converter.taken = round(seconds * rate)
            for block in self._alike():
                with blame(self.name):
                    converted = converter.push(block)
                if converted.shape[1]:
                    yield converted
            seconds = converter.taken / rate
            if self._source is not None and not changed:
                changed = True
                self.remarks.append(f"{self.name}: from {seconds:.1f} s on it has {_form(self._source)} instead of "
                                    f"{first}, and is converted")
            if (rest := converter.flush()).shape[1]:
                yield rest
        with blame(self.name):
            if not seconds:
                raise ValueError(_EMPTY)

    def _alike(self) -> Iterator[np.ndarray]:
        """Blocks [C, n], n >= 1, until the end or until rate or channels change."""
        assert self._source is not None
        form = self._source.sample_rate, self._source.channels
        # A rate of a few Hz in a header must not make a small block a huge one.
        step = max(1, 8 * BLOCK * form[0] // max(self.sample_rate, form[0]))
        while self._source is not None and (self._source.sample_rate, self._source.channels) == form:
            with blame(self.name):
                block = self._source.read()
            for start in range(0, block.shape[1], step):
                yield block[:, start:start + step]
            if not block.shape[1]:
                with blame(self.name):
                    self._go_on()

    def _go_on(self) -> None:
        """To the next source, if there is one."""
        before = self._source
        assert before is not None
        self._missing += before.missing / before.sample_rate
        remark = f"{self.name}: {before.remark}"
        if before.remark and remark not in self.remarks:
            self.remarks.append(remark)
        before.close()
        self._source = next(self._sources, None)
        if self._source is None and self._missing:
            self.missing = max(1, round(self._missing * self.source_rate))
            told = f"{self._missing:.1f} s" if self._missing >= 0.05 else f"{self.missing} samples"
            self.remarks.append(f"{self.name}: ends {told} before its header says")

    def close(self) -> None:
        """Close what was opened here; a file object that was given stays open."""
        if self._source is not None:
            self._source.close()
        while self._files:
            self._files.pop().close()

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _form(source: Source | None) -> str:
    """As words: the source is one that there is."""
    assert source is not None
    return f"{source.sample_rate} Hz and {source.channels} channel{'s' if source.channels > 1 else ''}"


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
