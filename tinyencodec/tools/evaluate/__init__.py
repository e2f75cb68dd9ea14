"""`tinyencodec evaluate`: how good it sounds, in figures, beside Opus and MP3.

In reading order:

    clips                 which sounds
    codecs, programs      who codes them: our models; opusenc and lame
    match                 delay and level of what comes back
    spectra               short-time spectra
    distance, listening   how far it is from the original: SI-SNR and mel distance; PESQ, STOI and ViSQOL
    measures              all measures, each with its title, kind of sound and direction
    figures               all of it
    report, plots         tables and pictures

Rates are those measured, not those asked for. But: no figure replaces listening. SI-SNR in particular favours a coder
that follows the waveform over one that sounds right.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUMMARY = "Measure how close models come to the original, also against Opus and MP3."
EXAMPLES = """
tinyencodec evaluate speech=readings/ music=songs/ -o report
tinyencodec evaluate music=song.flac --against none --clips 4
tinyencodec evaluate speech=readings/ -m tiny_24khz -m ./mine -b 3,6
tinyencodec evaluate --corpus corpus24/ --kinds speech --entropy table,lm
"""
_AGAINST = ("opus", "mp3")
_ENTROPY = ("table", "lm")
_SPLITS = ("train", "validation", "test")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument_group("sounds").add_argument
    add("sounds", metavar="KIND=PATH", nargs="*",
        help="audio files, or folders of them, such as speech=readings/ music=songs/; more paths of the kind may "
             "follow. PESQ and STOI are for the kind speech, ViSQOL for all")
    add("--corpus", metavar="FOLDER", type=Path, help="in place of those: a corpus packed for training")
    add("--split", choices=_SPLITS, default="test", help="part of the corpus; default: %(default)s")
    add("--kinds", metavar="NAMES", type=_list_of(str), help="kinds of the corpus; default: all")
    add("--clips", metavar="N", type=_one(int), default=12, help="of each kind; default: %(default)s")
    add("--seconds", metavar="S", type=_one(float), default=6.0, help="length of a clip; default: %(default)g")
    add("--seed", metavar="N", type=int, default=0, help="another one, other clips; default: %(default)s")

    add = parser.add_argument_group("coders").add_argument
    add("-m", "--model", metavar="MODEL", action="append", dest="models",
        help="name or folder; may be repeated; default: the bundled one")
    add("-b", "--bandwidths", metavar="RATES", type=_list_of(float), help="kbit/s; default: all that the model has")
    add("--entropy", metavar="CODERS", type=_list_of(str, _ENTROPY), default=[],
        help=f"measure the rate with these too, of {','.join(_ENTROPY)}")
    add("--against", metavar="NAMES", type=_list_of(str, (*_AGAINST, "none")), default=list(_AGAINST),
        help=f"of {','.join(_AGAINST)}, or none; default: all that are installed")
    add("--against-rates", metavar="RATES", type=_list_of(float),
        help="kbit/s; default: 6,12,16,24 for Opus and 16,24,32 for MP3, in stereo 12,24,48 and 32,64")

    add = parser.add_argument_group("output").add_argument
    add("-o", "--out", metavar="FOLDER", type=Path,
        help="write results.json, table.md, rd.png and spectrograms there; the folder is made if need be")
    add("-f", "--force", action="store_true", help="overwrite these files if they exist")
    add("--json", action="store_true", help="print all figures, as in results.json, in place of the table")


def run(args: argparse.Namespace) -> None:
    """Measure and print. Raises `ValueError` or `OSError` for arguments that cannot be used."""
    from tinyencodec.cli.evaluate import evaluate

    evaluate(args)


def _list_of(kind: type, known: tuple[str, ...] = ()) -> Callable[[str], list]:
    """A parser of values with commas between: names (of those `known`), or positive numbers."""

    def parse(text: str) -> list:
        try:
            values = list(dict.fromkeys(kind(part) for part in text.split(",") if part))
        except ValueError:
            values = []
        if not values or (kind is not str and not all(0 < value <= 1e6 for value in values)):
            expected = "names" if kind is str else "positive whole numbers" if kind is int else "positive numbers"
            raise argparse.ArgumentTypeError(f"expected {expected} with commas between, got {text!r}")
        for value in values:
            if known and value not in known:
                raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}, got {value!r}")
        return values

    return parse


def _one(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        values = _list_of(kind)(text)
        if len(values) != 1:
            raise argparse.ArgumentTypeError(f"expected one number, got {text!r}")
        return values[0]

    return parse
