"""Audio files and arrays: reading, channels, sample rate, writing.

Files are the business of libsndfile (through `soundfile`), resampling that of SciPy's polyphase
filter; both signals and habits (the mean as mono mix, the limit of 0.99, 16-bit PCM) follow the
official package's `utils.py`. An array is float32 [C, T], full scale at -1 and 1.

But: metadata (tags, loops, cue points) is not kept, and there is no dither.
"""

import io
import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from tinyencodec.files import atomic_write

PEAK_LIMIT = 0.99  # of full scale; what is louder is clipped or scaled down when written
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}  # written, by suffix

_MAX_RATE, _MAX_RATIO = 1_000_000, 1_000  # Hz; output to input rate and back
_BLOCK = 1 << 16  # samples per channel read or written at once
_MISLED = 7  # libsndfile's code for .mp3 files without MPEG frames; its text speaks of missing files and pipes
_MAX_WAV = (1 << 32) - 1024  # bytes: a WAV file counts them in 32 bits


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
    """
    name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else getattr(file, "name", "audio")
    try:
        wav, rate = _read(file)
        return convert_audio(wav, rate, rate if sample_rate is None else sample_rate,
                             len(wav) if channels is None else channels)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        if error.code == _MISLED:
            reason = "not what its suffix says"
        raise ValueError(f"{name}: expected an audio file, got something unreadable ({reason})") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _read(file: str | os.PathLike | BinaryIO) -> tuple[np.ndarray, int]:
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as fo:  # for the operating system's own words when that fails
            source = os.fspath(file) if Path(file).is_file() else io.BytesIO(fo.read())
    else:
        source = io.BytesIO(file.read())
    blocks = []
    try:
        sound = soundfile.SoundFile(source)
    except TypeError:
        raise ValueError("expected an audio file, got the suffix .raw, which tells no sample rate") from None
    with sound:
        rate = sound.samplerate
        # Not all at once: the length in a broken header must not become one huge buffer.
        while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
            blocks.append(block)
    if not blocks:
        raise ValueError("expected at least one sample, got none")
    return np.ascontiguousarray(np.concatenate(blocks).T), rate  # [T, C] -> [C, T]


def convert_audio(wav: np.ndarray, sr_in: int, sr_out: int, channels: int) -> np.ndarray:
    """Convert a signal to another number of channels and another sample rate.

    To mono: the mean of all channels. Mono to stereo: twice the same. More than two channels to
    stereo: channels 0 and 1 stay left and right, each other channel goes to both sides at half
    weight, and all is scaled by 2 / C. Nothing is lost, the mean of the two sides is the mono mix,
    and a full-scale input stays within full scale. Any count stays as it is when asked for.

    Resampling is `scipy.signal.resample_poly` with its default Kaiser window; T samples become
    ceil(T * sr_out / sr_in).

    Parameters
    ----------
    wav : float [C, T], T >= 1
    sr_in, sr_out : Hz, integers from 1 to 1 000 000, neither over 1000 times the other
    channels : 1, 2, or the C of the input

    Returns
    -------
    float32 [channels, T'], never a view of `wav`

    Raises
    ------
    ValueError : wrong shape or dtype, no samples, a sample that is not finite (saying when), a rate
        or channel count out of range.
    """
    sr_in, sr_out = _checked_rate(sr_in), _checked_rate(sr_out)
    wav = _checked(wav, sr_in)
    if max(sr_in, sr_out) > _MAX_RATIO * min(sr_in, sr_out):
        raise ValueError(f"sample rates: expected a ratio of at most {_MAX_RATIO}, got {sr_in} Hz to {sr_out} Hz")
    wav = _mix(wav, channels)
    if sr_in == sr_out:
        return np.array(wav, np.float32, order="C")
    from scipy.signal import resample_poly  # takes most of a second to import

    common = math.gcd(sr_in, sr_out)
    return np.ascontiguousarray(resample_poly(wav, sr_out // common, sr_in // common, axis=1), np.float32)


def _mix(wav: np.ndarray, channels: int) -> np.ndarray:
    count = len(wav)
    if channels == count:
        return wav
    if channels == 1:
        return wav.mean(axis=0, keepdims=True)
    if channels != 2:
        raise ValueError(f"channels: expected 1, 2 or the input's {count}, got {channels!r}")
    if count == 1:
        return np.repeat(wav, 2, axis=0)
    return (wav[:2] + wav[2:].sum(axis=0) / 2) * np.float32(2 / count)


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
    suffix = Path(path).suffix.lower()
    if suffix and suffix not in FORMATS:
        raise ValueError(f"{path}: expected a name ending in {', '.join(FORMATS)}, got {suffix}")
    sample_rate = _checked_rate(sample_rate)
    wav = _checked(wav, sample_rate)
    if rescale:
        wav = wav * np.float32(PEAK_LIMIT / max(peak(wav), PEAK_LIMIT))
    pcm = np.rint(np.clip(wav, -PEAK_LIMIT, PEAK_LIMIT) * np.float32(32768)).astype(np.int16)
    file_format, subtype = FORMATS[suffix or ".wav"]
    if file_format == "WAV" and pcm.nbytes > _MAX_WAV:
        raise ValueError(f"{path}: expected at most {_MAX_WAV} bytes for a WAV file, got {pcm.nbytes}; use .flac")
    encoded = io.BytesIO()  # libsndfile seeks back to complete the header, which a pipe cannot
    try:
        with soundfile.SoundFile(encoded, "w", sample_rate, len(pcm), subtype, format=file_format) as sound:
            for start in range(0, pcm.shape[1], _BLOCK):  # one long write of Vorbis overflows libsndfile's stack
                sound.write(pcm[:, start:start + _BLOCK].T)  # [C, T] -> [T, C]
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: expected a signal that {file_format} can hold, got {len(pcm)} channels "
                         f"at {sample_rate} Hz ({error.error_string.rstrip('.')})") from None
    with atomic_write(path, force) as fo:
        fo.write(encoded.getbuffer())


def peak(wav: np.ndarray) -> float:
    """The largest absolute sample."""
    return float(np.abs(wav).max())


def _checked(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    wav = np.asarray(wav)
    if wav.ndim != 2 or 0 in wav.shape:
        raise ValueError(f"audio: expected shape [C, T] with T >= 1, got {list(wav.shape)}")
    if wav.dtype.kind != "f":
        raise ValueError(f"audio: expected floating-point samples, got {wav.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
        wav = wav.astype(np.float32, copy=False)
    finite = np.isfinite(wav)
    if not finite.all():
        t = int(np.argmin(finite.all(axis=0)))
        c = int(np.argmin(finite[:, t]))
        raise ValueError(f"audio: expected finite samples, got {wav[c, t]} in channel {c} at {t / sample_rate:.4f} s")
    return wav


def _checked_rate(rate: int) -> int:
    if not isinstance(rate, (int, np.integer)) or isinstance(rate, bool) or not 1 <= rate <= _MAX_RATE:
        raise ValueError(f"sample rate: expected an integer from 1 to {_MAX_RATE} Hz, got {rate!r}")
    return int(rate)
