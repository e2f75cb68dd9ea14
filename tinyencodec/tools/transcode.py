"""A file of sound to `.ecdc` and back, with all remarks about it; for one file and for many.

Errors name the file that they are about. What went wrong without stopping the work comes back as remarks.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from tinyencodec.audio.pcm import Pcm
from tinyencodec.audio.reader import AudioReader
from tinyencodec.audio.writer import PEAK_LIMIT, AudioWriter
from tinyencodec.ecdc.coders import CodesCoder
from tinyencodec.ecdc.compression import DecodedSound, compress_stream, decompress_stream
from tinyencodec.ecdc.header import EcdcHeader, read_header
from tinyencodec.system.errors import blame
from tinyencodec.system.files import is_rewritable
from tinyencodec.system.progress import Progress
from tinyencodec.system.stdio import output, quiet_libraries, quietly

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel

_SILENCE = 1 << 16  # samples in a block of it
_MOST_SILENCE = 10  # times the sound: a header may promise hours where there is nothing
_AUDIBLE, _CANCELLED = 1e-3, 0.1  # of full scale; of the level of both channels: 20 dB softer
_FILLED = {"repeat": "repetition", "silence": "silence"}


Loader = Callable[[EcdcHeader], tuple["EncodecModel", Any]]  # the model and the coder of a file; Any: a coder or None


class Compressed(NamedTuple):
    """What a file of sound has become, and what is to be told about it."""

    samples: int  # per channel, at the model's rate
    sample_rate: int  # Hz, of the model
    remarks: list[str]
    source_rate: int  # Hz, of the file
    source_channels: int
    missing: int  # samples per channel, at the file's rate, that its header promises and that it does not have


class Decompressed(NamedTuple):
    """What an `.ecdc` file held, and what is to be told about it."""

    samples: int  # per channel
    sample_rate: int  # Hz
    remarks: list[str]


def checked_bandwidth(model: "EncodecModel", bandwidth: float | None) -> float:
    """kbit/s to code with, None: the usual for this model.

    Raises `ValueError` for a bandwidth that the model does not have, or a model whose name no `.ecdc` file can hold.
    """
    bandwidth = model.usual_bandwidth if bandwidth is None else bandwidth
    EcdcHeader(model.name, 1, model.codebooks_for(bandwidth))
    return bandwidth


def compress_file(source: str | os.PathLike | BinaryIO, dest: Path | BinaryIO | None, model: "EncodecModel",
                  bandwidth: float | None = None, *, entropy: str | CodesCoder = "none", block: float | None = None,
                  protect: bool = False, search: int = 1, rate_weight: float | None = None, raw: Pcm | None = None,
                  force: bool = False, progress: Progress | None = None) -> Compressed:
    """Code a file of sound into an `.ecdc` file, block by block.

    Parameters
    ----------
    source : a path or a binary file object, of sound as in `AudioReader`
    dest : the output, which appears complete or not at all; or a binary file object; None: standard output
    bandwidth : kbit/s; None: the model's `usual_bandwidth`
    entropy, block, protect, search, rate_weight : as in `compress`
    raw : the form of raw PCM; None: an audio file of any kind
    force : overwrite `dest`

    Raises
    ------
    ValueError : as `checked_bandwidth`, `AudioReader` and `compress_stream`.
    OSError : the sound cannot be read, or the output cannot be written.
    """
    bandwidth = checked_bandwidth(model, bandwidth)
    with quiet_libraries():
        sound = AudioReader(source, model.sample_rate, model.channels, raw)
    with sound, output(dest, force) if dest is None or isinstance(dest, Path) else nullcontext(dest) as fo:
        rewritable = is_rewritable(fo)
        blocks = quietly(sound) if rewritable else _as_long_as_announced(sound)
        if model.config.normalize and model.channels == 2:
            blocks = _with_cancellation_told(blocks, sound)
        samples = compress_stream(model, blocks, fo, bandwidth, sound.length if rewritable else sound.announced,
                                  entropy=entropy, block=block, protect=protect, search=search,
                                  rate_weight=rate_weight, progress=progress)
    return Compressed(samples, model.sample_rate, sound.remarks, sound.source_rate, sound.source_channels,
                      sound.missing)


def _as_long_as_announced(sound: AudioReader) -> Iterator[np.ndarray]:
    """The blocks of a sound whose length goes out before it.

    If it ends early, silence follows, within reason; if it goes on, the rest is left out.
    """
    samples = 0
    for block in quietly(sound):
        kept = block.shape[1] if sound.announced is None else max(0, min(block.shape[1], sound.announced - samples))
        samples += block.shape[1]
        yield block[:, :kept]
    left = 0 if sound.announced is None else sound.announced - samples
    if left < 0:
        sound.remarks.append(f"{sound.name}: {-left / sound.sample_rate:.1f} s are left out: the length that had gone "
                             "out already is shorter; a file as output keeps them")
    elif 0 < left <= max(_MOST_SILENCE * samples, 60 * sound.sample_rate):
        sound.remarks.append(f"{sound.name}: silence follows, up to the length that had gone out already")
        for start in range(0, left, _SILENCE):
            yield np.zeros((sound.channels, min(_SILENCE, left - start)), np.float32)


def _with_cancellation_told(blocks: Iterator[np.ndarray], sound: AudioReader) -> Iterator[np.ndarray]:
    """The same blocks; remarks if left and right cancel out, for a model that scales its input by their mean.

    What is louder than the mean by some factor comes back softer by about that factor.
    """
    at, first, lost = 0, None, 0  # samples
    for block in blocks:
        yield block
        for start in range(0, block.shape[1], sound.sample_rate):
            part = block[:, start:start + sound.sample_rate]
            level, mean = (float(np.sqrt(np.square(each).mean())) for each in (part, part.mean(axis=0)))
            if level > _AUDIBLE and mean < _CANCELLED * level:
                first, lost = at + start if first is None else first, lost + part.shape[1]
        at += block.shape[1]
    if first is not None:
        sound.remarks.append(f"{sound.name}: left and right cancel out for {lost / sound.sample_rate:.1f} s, from "
                             f"{first / sound.sample_rate:.1f} s on, and all but vanish: the model takes the loudness "
                             "from their mean")


def decompress_file(fo: BinaryIO, dest: Path | None, kind: str, load: Loader, name: str, *,
                    force: bool = False, keep_going: str | None = None, rescale: bool = False,
                    progress: Progress | None = None) -> Decompressed:
    """Decode an `.ecdc` file into a file of sound, block by block.

    Parameters
    ----------
    fo : binary file object, at the header
    dest : the output, which appears complete or not at all; None: standard output
    kind : of sound, as in `AudioWriter`
    load : gives the model and the coder for a header (coder None: that of the model, loaded anew)
    name : what to call the input in errors and remarks
    force : overwrite `dest`
    keep_going : as in `decompress`
    rescale : scale a sound that is too loud rather than clip it

    Raises
    ------
    ValueError, EOFError : as `decompress_stream` and `AudioWriter`, with the name of the file.
    OSError : the output cannot be written.
    """
    with blame(name):
        header = read_header(fo)
        model, coder = load(header)
        sound = decompress_stream(fo, model, keep_going, header=header, coder=coder, progress=progress)
    samples = 0
    with output(dest, force) as out:
        with blame("standard output" if dest is None else os.fspath(dest)):
            writer = AudioWriter(out, kind, sound.sample_rate, sound.channels, sound.length, rescale)
        with writer, blame(name):
            for block in sound:
                writer.write(block)
                samples += block.shape[1]
    return Decompressed(samples, sound.sample_rate, list(_remarks(name, header, sound, writer, keep_going)))


def _remarks(name: str, header: EcdcHeader, sound: DecodedSound, writer: AudioWriter,
             keep_going: str | None) -> Iterator[str]:
    if header.mended:
        yield f"{name}: the header was damaged, and is put right ({header.mended})"
    for start, end in sound.lost:
        yield f"{name}: {start:.3f} s to {end:.3f} s are lost and filled by {_FILLED[keep_going or 'repeat']}"
    if sound.cut:
        yield f"{name}: the end is missing; there may have been more"
    if writer.clipped:
        yield (f"the sound reaches {writer.peak:.3g} of full scale and was clipped at {PEAK_LIMIT}; use -r to scale it "
               "down instead")
