"""What all chapters share: the recordings, sound players, figures in one style, and sentences with computed numbers.

A chapter runs as a script, as a notebook, and as a page of the site. In a notebook, sounds and figures appear below
the cell that makes them. In a script they are written to `tutorials/out/CHAPTER/`, and sentences are printed.
"""

import base64
import html
import io
import sys
from pathlib import Path

import matplotlib
import numpy as np
import soundfile

import tinyencodec

SOUNDS = Path(__file__).resolve().parent.parent / "tests" / "data"
_INK = "#727a85"  # as readable on white as on black
_STYLE = {
    "figure.figsize": (8, 3), "figure.dpi": 100, "savefig.dpi": 150, "savefig.transparent": True,
    "figure.facecolor": "none", "axes.facecolor": "none", "figure.constrained_layout.use": True,
    "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK, "axes.titlecolor": _INK,
    "xtick.color": _INK, "ytick.color": _INK, "grid.color": _INK, "grid.alpha": 0.25, "axes.grid": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11, "font.size": 10,
    "legend.frameon": False, "lines.linewidth": 1.2, "image.aspect": "auto", "image.origin": "lower",
    "axes.prop_cycle": matplotlib.cycler(color=["#3b82c4", "#e0803a", "#3fa66b", "#c2558f", "#8a6fd1", "#b8a130"]),
}


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def open_chapter() -> None:
    """Set the style of figures; as a script, draw into files. Call it once, at the top of a chapter."""
    if not _in_notebook():
        matplotlib.use("Agg")
    matplotlib.rcParams.update(_STYLE)


def recording(name: str, sample_rate: int = 24_000, channels: int = 1, seconds: float | None = None) -> np.ndarray:
    """A recording of the repository, "speech" or "guitar", as float32 [C, T] at `sample_rate` (Hz)."""
    wav = tinyencodec.read_audio(SOUNDS / f"{name}.flac", sample_rate, channels)
    return wav if seconds is None else wav[:, :round(seconds * sample_rate)]


def play(sample_rate: int, **sounds: np.ndarray) -> None:
    """Players for sounds [T] or [C, T], each under its name ("_" stands for a space), all equally loud as given."""
    players = []
    for name, wav in sounds.items():
        wav, label = np.clip(np.atleast_2d(wav), -1, 1).T, name.replace("_", " ").replace("kbit s", "kbit/s")
        if not _in_notebook():
            path = _folder() / f"{name.replace('/', ' per ')}.flac"
            soundfile.write(path, wav, sample_rate)
            print(f"[sound] {label}: {_shown(path)}")
            continue
        buffer, label = io.BytesIO(), html.escape(label)
        soundfile.write(buffer, wav, sample_rate, format="FLAC", subtype="PCM_16")
        data = base64.b64encode(buffer.getvalue()).decode()
        players.append(f'<figure class="sound"><figcaption>{label}</figcaption><audio controls preload="metadata" '
                       f'aria-label="{label}" src="data:audio/flac;base64,{data}"></audio></figure>')
    if players:
        from IPython.display import HTML, display
        display(HTML(f'<div class="sounds">{"".join(players)}</div>'))


def show(name: str) -> None:
    """Show the current figure; as a script, write it to NAME.png. It must have a title and a labelled axis."""
    from matplotlib import pyplot as plt
    figure = plt.gcf()
    if not any(axis.get_title() for axis in figure.axes):
        raise ValueError(f"figure {name}: expected a title")
    if not any(axis.get_xlabel() or axis.get_ylabel() or not axis.axison for axis in figure.axes):
        raise ValueError(f"figure {name}: expected a label on an axis")
    if _in_notebook():  # at twice the pixels it takes on the page, so that it is sharp
        from IPython.display import HTML, display
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=200, format="webp", pil_kwargs={"quality": 90})
        titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
        label = html.escape("; ".join(titles) or name.replace("_", " "))
        data, width = base64.b64encode(buffer.getvalue()).decode(), round(100 * figure.get_figwidth())
        display(HTML(f'<div class="plot"><img alt="{label}" style="width: {width}px" '
                     f'src="data:image/webp;base64,{data}"></div>'))
    else:
        path = _folder() / f"{name}.png"
        plt.savefig(path, facecolor="white", transparent=False)
        print(f"[figure] {_shown(path)}")
    plt.close("all")


def say(text: str) -> None:
    """A sentence in Markdown whose numbers the chapter has computed."""
    if not _in_notebook():
        print(text)
        return
    from IPython.display import Markdown, display
    display(Markdown(text))


def decibels(x: np.ndarray, floor: float = -100.0) -> np.ndarray:
    """20 log10 |x|, not below `floor`."""
    return np.maximum(20 * np.log10(np.maximum(np.abs(x), 1e-12)), floor)


def spectrogram(wav: np.ndarray, sample_rate: int, window: int = 1024) -> tuple[np.ndarray, tuple]:
    """Levels in dB [frequencies, frames] of a signal [T], and their extent (s, s, kHz, kHz) for `plt.imshow`.

    A sine at full scale reaches about -6 dB. Windows (Hann) are a quarter of their length apart.
    """
    from scipy.signal import stft
    _, _, spectrum = stft(wav, sample_rate, nperseg=window, noverlap=window * 3 // 4)
    return decibels(spectrum), (0, len(wav) / sample_rate, 0, sample_rate / 2000)


def _folder() -> Path:
    folder = Path(__file__).resolve().parent / "out" / Path(sys.argv[0]).stem
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
