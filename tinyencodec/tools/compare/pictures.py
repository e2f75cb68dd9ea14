"""Spectrograms for the page, as bare pictures: time from left to right, linear frequency from bottom to top.

    L[f, t] = 20 log10 |X[f, t]|     dB; 0 is the loudest point of the original
    D[f, t] = L of the decoded sound - L of the original, both no less than -80

Axes belong to the page, which lays a line over all pictures to show what is played. Where D is 0 its picture is clear,
so that it suits a light page and a dark one.
"""

import io

import numpy as np

from tinyencodec.tools.evaluate.distance import spectrum

RANGE = 80  # dB that is shown, below the loudest point of the original
SPAN = 20  # dB, either way, at which a difference has its full colour
MISSING, ADDED = (0.13, 0.47, 0.85), (0.90, 0.33, 0.05)  # colours of D < 0 and D > 0
_WINDOW = 1024  # samples
_WIDEST, _TALLEST = 1200, 256  # points


def levels(wav: np.ndarray) -> np.ndarray:
    """A spectrogram in dB, of channels mixed: [C, T] -> float64 [frequencies, frames], lowest frequency first.

    It has linear frequencies, and at most 256 of them and 1200 frames: beyond that, means of the power.
    """
    frames = -(-wav.shape[1] // (_WINDOW // 4))
    magnitudes = spectrum(wav.mean(axis=0, keepdims=True), _WINDOW)[0, :frames, 1:]
    power = _pool(_pool(np.square(magnitudes).T, _TALLEST).T, _WIDEST).T
    return 10 * np.log10(power)


def _pool(rows: np.ndarray, most: int) -> np.ndarray:
    """Means of neighbouring rows, such that at most `most` are left."""
    count = min(most, len(rows))
    edges = np.arange(count + 1) * len(rows) // count
    return np.add.reduceat(rows, edges[:-1], axis=0) / np.diff(edges)[:, None]


def draw_level(level: np.ndarray, loudest: float) -> bytes:
    """A WebP picture of L in the colours of magma."""
    import matplotlib

    return _webp(matplotlib.colormaps["magma"](np.clip((level - loudest) / RANGE + 1, 0, 1)))


def draw_difference(level: np.ndarray, original: np.ndarray, loudest: float) -> bytes:
    """A WebP picture of D, in the colours MISSING and ADDED, the more opaque the greater it is."""
    floor = loudest - RANGE
    difference = np.clip((np.maximum(level, floor) - np.maximum(original, floor)) / SPAN, -1, 1)
    rgba = np.where(difference[..., None] < 0, (*MISSING, 0), (*ADDED, 0))
    rgba[..., 3] = np.abs(difference)
    return _webp(rgba)


def _webp(rgba: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    fo = io.BytesIO()
    imsave(fo, rgba, format="webp", origin="lower", pil_kwargs={"quality": 80, "method": 4})
    return fo.getvalue()


def level_scale() -> list[str]:
    """Colours from -RANGE to 0 dB, as #rrggbb."""
    import matplotlib
    from matplotlib.colors import to_hex

    return [to_hex(matplotlib.colormaps["magma"](x)) for x in np.linspace(0, 1, 9)]


def difference_scale() -> list[str]:
    """Colours from -SPAN to SPAN dB, as #rrggbbaa."""
    from matplotlib.colors import to_hex

    return [to_hex((*MISSING, 1), True), to_hex((*MISSING, 0), True), to_hex((*ADDED, 0), True),
            to_hex((*ADDED, 1), True)]
