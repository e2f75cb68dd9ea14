"""Many signals in one call: to one array of codes, and back.

    batch = encode_batch(model, wavs, bandwidth=6.0)   # codes [B, K, F], zeros where an item has ended
    wavs = decode_batch(model, *batch)                 # [B, C, T], zeros where an item has ended

Each item is coded on its own, at its own length, so that its codes are those that `model.encode` gives for it alone,
whatever stands beside it in the batch and whatever it is padded with. (A network that runs on padded signals gives
others: at the end of a signal, a convolution would reflect zeros.) Several items are coded at the same time, by as many
threads as `model.threads` says.

But: nothing is resampled, and mono is not made stereo or the reverse; `audio.convert_audio` does that when asked.
"""

import copy
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinyencodec.codec.beam import check_search
from tinyencodec.codec.model import EncodecModel
from tinyencodec.codec.network import as_array
from tinyencodec.codec.segments import split_segments


class EncodedBatch(NamedTuple):
    """The codes of B signals. `decode_batch(model, *batch)` makes sound of them.

    codes : int64 [B, K, F]; item i has its frames in codes[i, :, :frames[i]], those of all its segments one after the
        other, and zeros after them (0 is a code like any other: only `frames` says where the padding begins)
    scales : of a model that normalises, float32 [B, S], one per segment, zeros after an item's last; else None
    frames : int64 [B], frames of each item
    lengths : int64 [B], samples of each item
    """

    codes: np.ndarray
    scales: np.ndarray | None
    frames: np.ndarray
    lengths: np.ndarray


def encode_batch(model: EncodecModel, wavs: ArrayLike | list | tuple, bandwidth: float = 6.0,
                 lengths: ArrayLike | None = None, *, search: int = 1) -> EncodedBatch:
    """Code several signals, each as if it were alone.

    Parameters
    ----------
    wavs : floats at the model's sample rate: an array [T] (one item, mono models only), [C, T] (one item) or
        [B, C, T]; or a list or tuple of arrays [T] or [C, T] of any lengths. An array is whatever NumPy can make one
        of, through `__array__`: a tensor of PyTorch on the CPU, for instance.
    bandwidth : kbit/s, one of `model.bandwidths`
    lengths : samples of each item, integers [B] from 1; what comes after them is padding and ignored, NaN included.
        None: all there are
    search : as in `EncodecModel.encode`

    Raises
    ------
    ValueError : no items; an item of another channel count, or one that `EncodecModel.encode` refuses, by its
        number; lengths that do not fit; a bandwidth that the model does not offer.
    """
    n_codebooks, search = model.codebooks_for(bandwidth), check_search(search)
    items = check_items(model, wavs, lengths)
    coded = each(lambda alone, wav: alone.encode(wav, bandwidth, search=search), model, items)
    codes = _padded([np.concatenate([frame.codes for frame in frames], axis=1) for frames in coded],
                    (n_codebooks,), np.int64)
    scales = None
    if model.config.normalize:
        scales = _padded([np.array([frame.scale for frame in frames]) for frames in coded], (), np.float32)
    return EncodedBatch(codes, scales, np.array([sum(frame.codes.shape[1] for frame in frames) for frames in coded]),
                        np.array([wav.shape[1] for wav in items]))


def decode_batch(model: EncodecModel, codes: ArrayLike, scales: ArrayLike | None = None,
                 frames: ArrayLike | None = None, lengths: ArrayLike | None = None) -> np.ndarray:
    """Turn the codes of several signals back into sound, each as `EncodecModel.decode` does it alone.

    Parameters
    ----------
    codes : integers [B, K, F], padded as in `EncodedBatch`; fewer codebooks (the first few) may be given
    scales : for a model that normalises, [B, S]; else None
    frames : frames of each item, integers [B]; None: all F
    lengths : samples of each item, integers [B]; None: all that its codes give, which is the input's length rounded
        up to whole frames

    Returns
    -------
    float32 [B, C, T], T being the samples of the longest item, with zeros after the end of the others

    Raises
    ------
    ValueError : shapes that do not fit each other, or an item that `EncodecModel.decode` refuses, by its number.
    """
    codes, factors = as_array(codes, "codes"), None
    if codes.ndim != 3 or len(codes) == 0:
        raise ValueError(f"codes: expected shape [B, K, F] with B >= 1, got {list(codes.shape)}")
    sizes = _counts(frames, "frames", [codes.shape[2]] * len(codes))
    samples = [None] * len(codes) if lengths is None else _counts(lengths, "lengths", [None] * len(codes))
    if model.config.normalize:
        factors = np.zeros((0, 0)) if scales is None else as_array(scales, "scales")
        if factors.ndim != 2 or len(factors) != len(codes):
            raise ValueError(f"scales: expected shape [{len(codes)}, S], got {list(factors.shape)}")
    elif scales is not None:
        raise ValueError("scales: expected None, since the model does not normalise, got some")
    items = [_item(i, split_segments, model.config, codes[i, :, :n], None if factors is None else factors[i])
             for i, n in enumerate(sizes)]
    jobs = list(zip(range(len(items)), items, samples))
    wavs = each(lambda alone, job: _item(job[0], alone.decode, job[1], job[2]), model, jobs)
    return _padded(wavs, (model.channels,), np.float32)


def check_items(model: EncodecModel, wavs: ArrayLike | list | tuple,
                lengths: ArrayLike | None = None) -> list[np.ndarray]:
    """The signals in `wavs`, see `encode_batch`, as float32 [C, T] each, without what comes after their lengths."""
    if isinstance(wavs, list | tuple):
        items = [_item(i, as_array, wav, "audio") for i, wav in enumerate(wavs)]
    else:
        whole = as_array(wavs, "audio")
        items = list(whole) if whole.ndim == 3 else [whole]
    if not items:
        raise ValueError("audio: expected at least one item, got none")
    items = [wav[None] if wav.ndim == 1 and model.channels == 1 else wav for wav in items]
    if lengths is not None:
        sizes = [wav.shape[1] if wav.ndim == 2 else None for wav in items]
        items = [wav[:, :n] if wav.ndim == 2 else wav for wav, n in zip(items, _counts(lengths, "lengths", sizes))]
    return [_item(i, model.check_audio, wav) for i, wav in enumerate(items)]


def each(function: Callable, model: EncodecModel, items: list) -> list:
    """[function(model, item) for item in items] on up to `model.threads` threads; the results do not depend on them.

    The threads that are left over, where there are fewer items, work within each item.
    """
    workers = min(model.threads, len(items))
    alone = copy.copy(model)  # shares the weights
    alone.threads = max(1, model.threads // workers)
    if workers == 1:
        return [function(alone, item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda item: function(alone, item), items))


def _item(number: int, function: Callable, *arguments: object) -> Any:
    """function(*arguments), with the item's number before the message of a `ValueError`."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise ValueError(f"item {number}: {error}") from None


def _counts(values: ArrayLike | None, what: str, most: Iterable[int | None]) -> list[int]:
    """`values` as integers from 1 to `most` each (None: no limit), one for each of them."""
    most = list(most)
    counts = np.array(most) if values is None else as_array(values, what)
    if counts.shape != (len(most),) or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"{what}: expected {len(most)} integers, got {counts.dtype} {list(counts.shape)}")
    for i, (n, limit) in enumerate(zip(counts.tolist(), most)):
        if n < 1 or (limit is not None and n > limit):
            upper = "" if limit is None else f" to {limit}"
            raise ValueError(f"item {i}: {what}: expected an integer from 1{upper}, got {n}")
    return counts.tolist()


def _padded(arrays: list[np.ndarray], shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Arrays [*shape, n] of any n in one of `dtype` [B, *shape, N], with zeros after their ends."""
    whole = np.zeros((len(arrays), *shape, max(array.shape[-1] for array in arrays)), dtype)
    for row, array in zip(whole, arrays):
        row[..., :array.shape[-1]] = array
    return whole
