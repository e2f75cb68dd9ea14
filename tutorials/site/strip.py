"""Draw `static/strip.png`, the picture in README: a spoken phrase, and what the default model makes of it.

    python tutorials/site/strip.py

The bar below each spectrogram is the size of the coded sound beside that of the original as 16-bit PCM. There is no
background, and the ink is as readable on a white page as on a black one.
"""

from pathlib import Path

import matplotlib
import numpy as np

import tinyencodec

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend comes first)

HERE = Path(__file__).resolve().parent
RECORDING = HERE.parents[1] / "tests" / "data" / "speech.flac"
START, END = 0.3, 2.3  # seconds
RATES = (1.5, 6.0)  # kbit/s
HIGHEST = 8.0  # kHz; the recording has nothing above
_INK, _ACCENT = "#727a85", "#3b82c4"
_COLOURS = plt.get_cmap("magma", 16)  # few of them, for a small file


def spectrogram(wav: np.ndarray, sample_rate: int, window: int = 1024) -> np.ndarray:
    """Levels in dB, [frequencies up to HIGHEST, frames], of a signal [T]."""
    from scipy.signal import stft
    frequencies, _, spectrum = stft(wav, sample_rate, nperseg=window, noverlap=window * 7 // 8)
    return 20 * np.log10(np.abs(spectrum[frequencies <= 1000 * HIGHEST]) + 1e-9)


def draw(axis, name: str, levels: np.ndarray, n_bytes: int, share: float) -> None:
    """One spectrogram with its name, its size, and a bar for its share of the original's size."""
    axis.imshow(levels, extent=(0, END - START, 0, HIGHEST), origin="lower", aspect="auto", cmap=_COLOURS, vmin=-85,
                vmax=-25, interpolation="nearest")
    axis.set_title(name, loc="left", fontsize=15, fontweight="bold", color=_INK)
    axis.set_title(f"{n_bytes / 1000:.1f} kB", loc="right", fontsize=13, color=_INK)
    axis.set_xticks([0, 1, 2], ["0 s", "1 s", "2 s"])
    axis.set_yticks([0, 2, 4, 6, 8])
    axis.tick_params(colors=_INK, labelsize=11, length=3)
    axis.spines[:].set_visible(False)
    line = {"transform": axis.transAxes, "clip_on": False, "linewidth": 5}
    axis.plot([0, 1], [-0.2, -0.2], color=_INK, alpha=0.3, solid_capstyle="butt", **line)
    axis.plot([0, share], [-0.2, -0.2], color=_ACCENT, solid_capstyle="butt", **line)


def main() -> None:
    """Code the recording and draw."""
    model = tinyencodec.load_model()
    wav = tinyencodec.read_audio(RECORDING, model.sample_rate, model.channels)
    wav = wav[:, round(START * model.sample_rate):round(END * model.sample_rate)]
    sounds = [("original", wav, 2 * wav.size)]
    for rate in RATES:
        data = tinyencodec.compress(model, wav, bandwidth=rate)
        sounds.append((f"{rate:g} kbit/s", tinyencodec.decompress(data)[0], len(data)))
    figure, axes = plt.subplots(1, len(sounds), figsize=(10, 2.9), sharey=True)
    for axis, (name, sound, n_bytes) in zip(axes, sounds):
        draw(axis, name, spectrogram(sound[0], model.sample_rate), n_bytes, n_bytes / sounds[0][2])
    axes[0].set_ylabel("kHz", color=_INK, fontsize=12)
    figure.tight_layout(w_pad=2)
    figure.savefig(HERE / "static" / "strip.png", dpi=120, transparent=True, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
