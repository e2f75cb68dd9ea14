"""What all chapters share: the recordings, sound players, figures in one style, and sentences with computed numbers.

A chapter runs as a script, as a notebook, and as a page of the site. In a notebook, sounds and figures appear below
the cell that makes them. In a script they are written to `tutorials/out/CHAPTER/`, and sentences are printed.

Every chapter takes a recording of the reader's own in place of the spoken sentence: `python tutorials/09_rvq.py --clip
mine.wav` as a script, `book.use_clip("mine.wav")` after `book.open_chapter()` in a notebook.
"""

import argparse
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
FRAME = 62  # the frame that the book follows: samples 19 840 to 20 159 of the sentence, in a vowel
_INK, _INK_OF_DARK = "#454c55", "#c3cad3"  # of figures, on the pages' light background and on the dark one
_clip: Path | None = None  # the reader's recording
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
    """Set the style of figures; as a script, draw into files and read `--clip`. Call it once, at a chapter's top."""
    if not _in_notebook():
        matplotlib.use("Agg")
        parser = argparse.ArgumentParser(description="Run this chapter; figures and sounds go to tutorials/out/.")
        parser.add_argument("--clip", type=Path, metavar="FILE", help="a recording in place of the book's sentence")
        if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:  # it is a chapter that runs
            if clip := parser.parse_args().clip:
                try:
                    use_clip(clip)
                except (OSError, ValueError, EOFError) as error:
                    parser.error(str(error))
    matplotlib.rcParams.update(_STYLE)


def use_clip(path: Path | str | None) -> None:
    """From here on `recording("speech")` is this file, cut or repeated to the sentence's length and made as loud.

    None takes the book's own sentence again. Raises what `tinyencodec.read_audio` raises, and `ValueError` for silence.
    """
    global _clip
    before, _clip = _clip, None if path is None else Path(path)
    try:
        recording("speech")
    except (OSError, ValueError, EOFError):
        _clip = before
        raise


def recording(name: str, sample_rate: int = 24_000, channels: int = 1, seconds: float | None = None) -> np.ndarray:
    """A recording of the repository, "speech" or "guitar", as float32 [C, T] at `sample_rate` (Hz).

    With `use_clip`, the reader's recording stands in for "speech".
    """
    wav = tinyencodec.read_audio(SOUNDS / f"{name}.flac", sample_rate, channels)
    if name == "speech" and _clip is not None:
        wav = _in_place_of(wav, tinyencodec.read_audio(_clip, sample_rate, channels))
    return wav if seconds is None else wav[:, :round(seconds * sample_rate)]


def _in_place_of(wav: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The start of `other`, from its first sound on, as long and about as loud as `wav`; too short, it is repeated."""
    loud = np.abs(other).max(axis=0, initial=0)
    if loud.max(initial=0) < 1e-3:
        raise ValueError(f"{_clip}: expected sound, got silence (peak {loud.max(initial=0):.2g})")
    other = other[:, np.argmax(loud > 0.1 * loud.max()):]
    other = np.tile(other, -(-wav.shape[1] // other.shape[1]))[:, :wav.shape[1]]
    return other * np.float32(min(wav.std() / other.std(), 1 / np.abs(other).max()))


def claim(holds: bool, sentence: str) -> None:
    """Assert what the text says of the book's own recordings. Of a reader's recording it may not hold: then say so."""
    if _clip is None:
        assert holds, sentence
    elif not holds:
        say(f"*Your recording is different.* In the book: {sentence}.")


def check(exercise: str, *answers: object) -> None:
    """Say whether answers to an exercise, such as "9.2", are right. An answer of `...` means: not tried yet."""
    import exercises
    say(f"Exercise {exercise}: {exercises.verdict(exercise, answers)}")


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
        titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
        label = html.escape("; ".join(titles) or name.replace("_", " "))
        images = ""
        for theme in ("light", "dark"):  # classes of the page's theme, which shows one of the two
            if theme == "dark":
                _for_dark(figure)
            buffer = io.BytesIO()
            figure.savefig(buffer, dpi=200, format="webp", pil_kwargs={"quality": 90})
            data, width = base64.b64encode(buffer.getvalue()).decode(), round(100 * figure.get_figwidth())
            images += (f'<img class="only-{theme}" alt="{label}" style="width: {width}px; --drawn: {width}px" '
                       f'src="data:image/webp;base64,{data}">')
        display(HTML(f'<div class="plot">{images}</div>'))
    else:
        path = _folder() / f"{name}.png"
        plt.savefig(path, facecolor="white", transparent=False)
        print(f"[figure] {_shown(path)}")
    plt.close("all")


def _for_dark(figure: "matplotlib.figure.Figure") -> None:
    """Give all that is drawn in `_INK` the ink of the dark theme."""
    ink = matplotlib.colors.to_rgba(_INK)
    for what in ("color", "edgecolor", "markeredgecolor", "markerfacecolor"):
        for artist in figure.findobj(lambda artist, what=what: hasattr(artist, f"set_{what}")):
            colour = getattr(artist, f"get_{what}", lambda: None)()
            if isinstance(colour, str | tuple) and matplotlib.colors.to_rgba(colour)[:3] == ink[:3]:
                getattr(artist, f"set_{what}")(_INK_OF_DARK)


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


def snr(signal: np.ndarray, changed: np.ndarray) -> float:
    """Signal-to-noise ratio in dB: how much stronger the signal is than what has been changed. Chapter 1 derives it."""
    return 10 * np.log10(np.sum(np.square(signal)) / np.sum(np.square(changed - signal)))


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


def drawing(name: str, **options: object) -> None:
    """A drawing of `drawings`, such as "map"; as a script, write it to NAME.svg."""
    import drawings
    figure = drawings.svg(name, **options)
    if _in_notebook():
        from IPython.display import HTML, display
        display(HTML(figure))
        return
    path = _folder() / f"{name}.svg"
    path.write_text(figure[figure.index("<svg"):figure.index("</svg>") + len("</svg>")])
    print(f"[drawing] {_shown(path)}")


def playable(page: str) -> None:
    """Something to play with, as the functions of `playable` return it; as a script, say only that there is one."""
    if _in_notebook():
        from IPython.display import HTML, display
        display(HTML(page))
    else:
        print("[playable] on the site and in a notebook")
