"""The codes of one signal as a file for language-model work: `.npz` or `.safetensors`, which other libraries read.

    codes        int16 [K, F] (int32 for codebooks of more than 32 768 entries), the frames of all segments in order
    scales       float32 [S], one per segment; only of a model that normalises its input
    model        name of the model that made the codes
    sample_rate  Hz
    bandwidth    kbit/s of the codes in fixed width
    length       samples per channel
    version      1, of this layout

In `.npz` all of them are arrays, the last five with no dimensions; in `.safetensors` these five are texts in the
metadata. `numpy.load("x.npz")["codes"]` and `safetensors.numpy.load_file("x.safetensors")["codes"]` are all it takes.

Other programs may write such files too; what else they put in is ignored. `codes_arrays` tells what is read, and how
little a file is trusted. Nothing is lost: with the model's configuration, a plain `.ecdc` file of version 0 can be
made again, byte by byte. (Only the spaces in the header of a sound that was recorded from a pipe are lost.)
"""

import io
import math
import os
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import EncodedFrame, segment_frames, split_segments
from tinyencodec.ecdc.codes_arrays import FACTS, codes_kind, read_npz, read_safetensors
from tinyencodec.ecdc.header import EcdcHeader
from tinyencodec.system.errors import blame, check_codes, require
from tinyencodec.system.files import atomic_write
from tinyencodec.system.safetensors_file import safetensors_header
from tinyencodec.system.signals import deferred
from tinyencodec.system.untrusted import ZipSource

VERSION = 1


class SavedCodes(NamedTuple):
    """What a codes file holds; see the module. `model.decode(saved.frames(model), saved.length)` makes sound of it."""

    codes: np.ndarray  # integers [K, F]
    scales: np.ndarray | None  # floats [S]
    model: str
    sample_rate: int
    bandwidth: float
    length: int

    def frames(self, model: Any) -> list[EncodedFrame]:
        """The segments, for `model.decode` and `ecdc.write_ecdc`. Only `name` and `config` of the model are used.

        Raises `ValueError` unless this model can have made these codes, of a signal of this length.
        """
        config: CodecConfig = model.config
        require(self.model == model.name, "model", repr(model.name), self.model)
        require(self.sample_rate == config.sampling_rate, "sample rate", f"{config.sampling_rate} Hz", self.sample_rate)
        check_codes(self.codes, config.n_codebooks, config.codebook_size)
        require((self.scales is not None) == config.normalize, "scales",
                "one per segment" if config.normalize else "none for this model", self.scales)
        frames = split_segments(config, self.codes, self.scales)
        sizes = [frame.codes.shape[1] for frame in frames]
        expected = -(-self.length // config.hop_length)  # at least, which spares a walk over a false length
        if expected <= sum(sizes):
            expected = sum(segment_frames(config, self.length))
        require(expected == sum(sizes), "codes", f"the frames of {self.length} samples, {expected}", sum(sizes))
        if self.scales is not None:
            require(len(self.scales) == len(sizes), "scales", f"{len(sizes)}, one per segment", len(self.scales))
            require(np.isfinite(self.scales).all() and (self.scales >= 0).all(), "scales",
                    "finite numbers of at least 0", self.scales)
        return frames


def write_codes(path: str | os.PathLike, model: Any, frames: list, length: int, *, force: bool = True) -> None:
    """Write the codes of one signal to `path`, which ends in `.npz` or `.safetensors`.

    The file appears complete or not at all (`files.atomic_write`), and is the same each time, byte by byte.

    Parameters
    ----------
    model : that made the codes; only its `name` and `config` are used
    frames : pairs (codes [K, F], scale or None), one per segment, as `model.encode` returns them
    length : samples per channel of the signal that was encoded
    force : overwrite an existing file

    Raises
    ------
    ValueError : another suffix, or frames that are not those of a signal of this length and model.
    OSError : as `files.check_output`, or the disk is full.
    """
    kind, config = codes_kind(path), model.config
    require(len(frames) > 0, "frames", "at least one segment", "none")
    frames = [(np.asarray(codes), scale) for codes, scale in frames]
    require(len({(codes.ndim, codes.shape[:1]) for codes, _ in frames}) == 1, "codes", "the same K in each segment",
            [codes.shape for codes, _ in frames])
    codes = np.concatenate([codes for codes, _ in frames], axis=-1)
    check_codes(codes, config.n_codebooks, config.codebook_size)
    scales = [scale for _, scale in frames]
    require((None not in scales) if config.normalize else scales == [None] * len(scales), "scales",
            "a number for each segment" if config.normalize else "none for this model", scales)
    length = int(length) if isinstance(length, np.integer) else length
    EcdcHeader(model.name, length, len(codes))  # a name or length that no file can have
    saved = SavedCodes(codes.astype(np.int16 if config.codebook_size <= 1 << 15 else np.int32),
                       np.array(scales, np.float32) if config.normalize else None, model.name, config.sampling_rate,
                       len(codes) * config.bits_per_code * config.frame_rate / 1000, length)
    expected, got = ([part[0].shape[1] for part in parts] for parts in (saved.frames(model), frames))
    require(expected == got, "codes", f"segments of {expected} frames", got)
    arrays = {name: array for name, array in (("codes", saved.codes), ("scales", saved.scales)) if array is not None}
    facts = {name: getattr(saved, name) if name != "version" else VERSION for name in FACTS}
    if kind == ".npz":
        buffer = io.BytesIO()
        members: dict[str, Any] = {**arrays, **{name: np.array(value) for name, value in facts.items()}}
        with deferred():  # `zipfile` answers an exception in the midst of a member with one of its own
            np.savez(buffer, **members)
        data = buffer.getvalue()
    else:
        data = _safetensors(arrays, {name: str(value) for name, value in facts.items()})
    with atomic_write(path, force) as fo:
        fo.write(data)


def read_codes(path: str | os.PathLike) -> SavedCodes:
    """Read a codes file; `frames` of the result then checks it against a model.

    Raises
    ------
    ValueError : another suffix, or not a codes file: the message names the file and what is wrong with it.
    OSError : it cannot be read.
    """
    kind = codes_kind(path)
    with blame(os.fspath(path)), ZipSource(path, "rb") as fo:
        arrays, facts = read_npz(fo) if kind == ".npz" else read_safetensors(path)
        version = facts.pop("version")
        require(version == VERSION, "version", str(VERSION), version)
        saved = SavedCodes(arrays["codes"], arrays.get("scales"), **facts)
        EcdcHeader(saved.model, saved.length, len(saved.codes))  # raises for a wrong value
        require(saved.codes.shape[1] >= 1, "codes", "at least 1 frame", 0)
        require(saved.sample_rate >= 1, "sample_rate", "at least 1 Hz", saved.sample_rate)
        require(0 < saved.bandwidth < math.inf, "bandwidth", "a positive number", saved.bandwidth)
    return saved


def _safetensors(arrays: dict[str, np.ndarray], facts: dict[str, str]) -> bytes:
    """The bytes of a file with these arrays, always in the same order, unlike those of the library's own writer."""
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))  # so that each begins at its alignment
    header = safetensors_header({name: (array.dtype, array.shape) for name, array in arrays.items()}, facts)
    return header + b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays.values())
