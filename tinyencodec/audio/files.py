"""Audio files and arrays: a whole sound in one call. An array is float32 [C, T], full scale at -1 and 1.

    read_audio, write_audio   `reader.AudioReader` and `writer.AudioWriter`, with the whole sound as one block
    convert_audio             `resample`

But: metadata (tags, loops, cue points) is not kept, and there is no dither.

Chapter 1 of the tutorials walks through it.
"""

import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tinyencodec.audio.reader import AudioReader
from tinyencodec.audio.resample import checked_audio, checked_rate, convert_audio
from tinyencodec.audio.writer import FORMATS, AudioWriter
from tinyencodec.system.files import atomic_write

__all__ = ["convert_audio", "kind_of", "read_audio", "write_audio"]


def read_audio(file: str | os.PathLike | BinaryIO, sample_rate: int | None = None,
               channels: int | None = None) -> np.ndarray:
    """Read an audio file of any kind that libsndfile knows (WAV, FLAC, OGG, MP3, AIFF, ...).

    Parameters
    ----------
    file : a path (a named pipe will do), or a binary file object, which is read from where it stands
    sample_rate : Hz to convert to; None: as in the file
    channels : 1 or 2 to convert to; None: as in the file

    Returns
    -------
    float32 [C, T], integer formats scaled to -1 ... 1

    Raises
    ------
    OSError : no such file, or it cannot be read.
    ValueError : not audio, no samples, a sample that is not finite, or a rate as in `convert_audio`;
        the message names the file.

    Warns
    -----
    UserWarning : each of `AudioReader.remarks`, such as "song.wav: ends 3.2 s before its header says".
    """
    with AudioReader(file, sample_rate, channels) as sound:
        wav = np.concatenate(list(sound), axis=1)
    for remark in sound.remarks:
        warnings.warn(remark, stacklevel=2)
    return wav


def write_audio(path: str | os.PathLike, wav: np.ndarray, sample_rate: int, rescale: bool = False, *,
                force: bool = True) -> None:
    """Write a signal as 16-bit PCM (.wav, .flac) or Vorbis (.ogg), by the suffix of `path`; without suffix, WAV.

    Samples beyond +-0.99 are clipped there, or with `rescale` the whole signal is scaled down to that
    peak. The file appears complete or not at all (`files.atomic_write`).

    Parameters
    ----------
    path : file name; /dev/null or a named pipe will do
    wav : float [C, T], T >= 1
    sample_rate : Hz
    force : overwrite an existing file

    Raises
    ------
    ValueError : as `convert_audio` for signal and rate; another suffix, too much for a WAV file, or
        a rate or channel count that the format cannot have. Nothing is written.
    OSError : as `files.check_output`, or the disk is full.
    """
    kind = kind_of(path)
    wav = checked_audio(wav, checked_rate(sample_rate))
    with atomic_write(path, force) as fo:
        try:
            with AudioWriter(fo, kind, sample_rate, len(wav), wav.shape[1], rescale) as writer:
                writer.write(wav)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def kind_of(path: str | os.PathLike) -> str:
    """The kind of audio file to write at `path`, for `AudioWriter`; `ValueError` for another suffix."""
    suffix = Path(path).suffix.lower()
    if suffix and suffix not in FORMATS:
        raise ValueError(f"{path}: expected a name ending in {', '.join(FORMATS)}, got {suffix}")
    return FORMATS[suffix or ".wav"]
