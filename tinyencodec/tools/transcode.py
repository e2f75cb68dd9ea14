"""An `.ecdc` file to a file of sound, with everything that is to be told about it; for one file and for many.

Errors name the file that they are about. What went wrong without stopping the work comes back as remarks.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from tinyencodec.audio.writer import PEAK_LIMIT, AudioWriter
from tinyencodec.compression import DecodedSound, Progress, decompress_stream
from tinyencodec.ecdc.container import EcdcHeader, read_header
from tinyencodec.system.errors import blame
from tinyencodec.system.stdio import output

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel

_FILLED = {"repeat": "repetition", "silence": "silence"}


Loader = Callable[[EcdcHeader], tuple["EncodecModel", Any]]  # the model and the coder of a file; Any: a coder or None


class Transcoded(NamedTuple):
    """What a file held, and what is to be told about it."""

    samples: int
    sample_rate: int  # Hz
    remarks: list[str]


def decompress_file(fo: BinaryIO, dest: Path | None, kind: str, load: Loader, name: str, *,
                    force: bool = False, keep_going: str | None = None, rescale: bool = False,
                    progress: Progress | None = None) -> Transcoded:
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
    return Transcoded(samples, sound.sample_rate, list(_remarks(name, header, sound, writer, keep_going)))


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
