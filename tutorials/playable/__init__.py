"""What can be played with on the page: a little JavaScript of our own, in the cell's output, without a server.

    switcher     one sound in several versions: a slider over the codebooks, or one of them muted
    voronoi      entries that are dragged through a cloud of points, with their cells
    arithmetic   the arithmetic coder, symbol by symbol

Each works with a mouse, a finger and the keyboard. `book.playable` shows what these functions return.
"""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.image
import numpy as np
import soundfile

HERE = Path(__file__).resolve().parent
_BUTTON = '<button type="button" class="{0}">{1}</button>'
_SWITCHER = ('<div class="picture"><img alt=""><span class="line"></span></div><div class="choice"></div>'
             '<output aria-live="polite"></output>' + _BUTTON.format("play", "▶ Play"))


def switcher(title: str, versions: Sequence[Mapping[str, str]], choice: str, what: str, start: int = 0) -> str:
    """One sound in several versions.

    versions : of each its `label`, a `note` (or ""), and as data URIs its `sound` and its `picture`
    choice : "slider" or "buttons"
    what : what the slider moves, for those who do not see it
    start : the version that is chosen first
    """
    data = {"versions": list(versions), "choice": choice, "what": what, "start": start}
    return _page("switcher", title, data, _SWITCHER, "Change it while it plays. A click on the picture goes to that "
                 "place." + (" Arrow keys move the slider." if choice == "slider" else ""))


def voronoi(title: str, points: Sequence[Sequence[float]], entries: Sequence[Sequence[float]], reach: float) -> str:
    """Entries among points, [x, y] each, in a field from -reach to reach."""
    data = {"points": [[round(float(x), 4) for x in point] for point in points],
            "entries": [[round(float(x), 4) for x in entry] for entry in entries], "reach": reach}
    body = ('<div class="field"><canvas width="416" height="416" aria-hidden="true"></canvas></div>'
            '<output aria-live="polite"></output>' + _BUTTON.format("step", "One round of k-means")
            + _BUTTON.format("again", "Start again"))
    return _page("voronoi", title, data, body, "Drag an entry, or choose one with the tab key and move it with the "
                 "arrow keys (with shift in small steps).")


def arithmetic(title: str, letters: Mapping[str, int], bits: int, message: str) -> str:
    """The coder with `letters`, each with its units of 2^bits."""
    assert sum(letters.values()) == 1 << bits and min(letters.values()) >= 2
    told = ", ".join(f"{letter} {units}" for letter, units in letters.items())
    body = ('<label>message: <input type="text" maxlength="12" autocapitalize="none" spellcheck="false"></label>'
            f'<p class="help">Units of {1 << bits}: {told}</p><div class="rows"></div>'
            '<output aria-live="polite"></output>'
            + _BUTTON.format("step", "Next") + _BUTTON.format("back", "Back") + _BUTTON.format("again", "Start again"))
    data = {"letters": dict(letters), "bits": bits, "message": message}
    return _page("arithmetic", title, data, body, f"Write any message of the letters {', '.join(letters)}. "
                 "Grey numbers belong to no letter: parts are rounded to whole numbers, inwards.")


def version(label: str, note: str, wav: np.ndarray, sample_rate: int) -> dict[str, str]:
    """A version for `switcher`: sound [T] or [C, T] as FLAC, and its spectrogram from 0 to 8 kHz."""
    import book
    sound, picture = io.BytesIO(), io.BytesIO()
    wav = np.atleast_2d(wav)
    soundfile.write(sound, np.clip(wav, -1, 1).T, sample_rate, format="FLAC", subtype="PCM_16")
    level, _ = book.spectrogram(wav.mean(axis=0), sample_rate)
    level = level[:round(len(level) * 16_000 / sample_rate)]  # up to 8 kHz
    matplotlib.image.imsave(picture, level, vmin=-100, vmax=-20, cmap="magma", origin="lower", format="webp",
                            pil_kwargs={"quality": 80})
    return {"label": label, "note": note, "sound": _uri("audio/flac", sound), "picture": _uri("image/webp", picture)}


def _uri(kind: str, data: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def _page(script: str, title: str, data: dict, body: str, help_: str) -> str:
    title, help_ = html.escape(title), html.escape(help_)
    told = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    code = (HERE / f"{script}.js").read_text()
    style = (HERE / "playable.css").read_text()
    return (f'<style>{style}</style><section class="playable {script}" aria-label="{title}">'
            f'<p class="title">{title}</p>{body}<p class="help">{help_}</p></section><script>(\n{code.strip()}\n)'
            f'(document.currentScript.previousElementSibling, {told})</script>')
