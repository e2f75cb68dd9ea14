"""`tinyencodec compare`: one page to hear and see what each bitrate does to a sound.

In reading order:

    sources    the original and what the model makes of it, with figures
    pictures   spectrograms, and where they differ from the original's
    page       all of it as one HTML file (page.html, page.css and page.js beside it)

The page needs no network and no server: sounds and pictures are in it. Figures are those of
`tools.evaluate`.
But: it is one sound. How good a model is, `tinyencodec evaluate` tells, from many.
"""

import argparse
from pathlib import Path

SUMMARY = "Write a page to hear and see what each bitrate does to a sound."
EXAMPLES = """
tinyencodec compare song.flac -o report.html
tinyencodec compare talk.wav -o talk.html --speech --seconds 10    # with PESQ and STOI
tinyencodec compare song.flac -o song.html -m ./mine -b 3,6,12
xdg-open report.html
"""
_ENTROPY = ("table", "lm")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("input", metavar="INPUT", type=Path, help="audio file")
    add("-o", "--out", metavar="REPORT.html", type=Path, required=True, help="the page, one file")
    add("-m", "--model", metavar="MODEL", help="name or folder; default: the bundled one")
    add("-b", "--bandwidths", metavar="RATES", type=_rates, help="kbit/s; default: all that the model has")
    add("--entropy", metavar="CODERS", type=_coders, default=list(_ENTROPY),
        help=f"measure the rate with these too, of {','.join(_ENTROPY)}, or none; default: those that the model has")
    add("--seconds", metavar="S", type=_seconds, default=30.0, help="from the start; default: %(default)g")
    add("--speech", action="store_true", help="it is speech: PESQ and STOI too (pip install 'tinyencodec[evaluate]')")
    add("-f", "--force", action="store_true", help="overwrite the page if it exists")


def run(args: argparse.Namespace) -> None:
    """Write the page. Raises `ValueError` or `OSError` for arguments that cannot be used."""
    from tinyencodec.cli.compare import compare

    compare(args)


def _rates(text: str) -> list[float]:
    try:
        rates = list(dict.fromkeys(float(part) for part in text.split(",") if part))
    except ValueError:
        rates = []
    if not rates or not all(0 < rate <= 1e6 for rate in rates):
        raise argparse.ArgumentTypeError(f"expected positive numbers with commas between, got {text!r}")
    return rates


def _coders(text: str) -> list[str]:
    coders = list(dict.fromkeys(part for part in text.split(",") if part))
    if coders == ["none"]:
        return []
    if not coders or not set(coders) <= set(_ENTROPY):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(_ENTROPY)}, or none, got {text!r}")
    return coders


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"expected 0.1 to 600 seconds, got {text!r}")
    return seconds
