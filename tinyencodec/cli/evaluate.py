"""`tinyencodec evaluate KIND=PATH...`: from arguments to figures, files and a table (`tools.evaluate`)."""

import argparse
import importlib.util
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from tinyencodec.cli.options import comma_list, declare_force, positive
from tinyencodec.system.files import atomic_write, check_output

EXAMPLES = """
tinyencodec evaluate speech=readings/ music=songs/ -o report
tinyencodec evaluate music=song.flac --against none --clips 4
tinyencodec evaluate speech=readings/ -m tiny_24khz -m ./mine -b 3,6
tinyencodec evaluate --corpus corpus24/ --kinds speech --entropy table,lm
"""
_AGAINST = ("opus", "mp3", "pcm")
_ENTROPY = ("table", "lm")
_SPLITS = ("train", "validation", "test")
_KIND = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)")
_SHORTEST = 0.1  # seconds
_OUTPUTS = ("results.json", "table.md", "rd.png")


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add = parser.add_argument_group("sounds").add_argument
    add("sounds", metavar="KIND=PATH", nargs="*",
        help="audio files, or folders of them, such as speech=readings/ music=songs/; more paths of the kind may "
             "follow. PESQ and STOI are only for the kind speech, ViSQOL for all")
    add("--corpus", metavar="FOLDER", type=Path, help="instead of KIND=PATH: a corpus packed for training")
    add("--split", choices=_SPLITS, default="test", help="part of the corpus; default: %(default)s")
    add("--kinds", metavar="NAMES", type=comma_list(str), help="kinds of the corpus; default: all")
    add("--clips", metavar="N", type=positive(int), default=12, help="clips of each kind; default: %(default)s")
    add("--seconds", metavar="S", type=positive(float), default=6.0, help="length of a clip; default: %(default)g")
    add("--seed", metavar="N", type=int, default=0, help="another number: other clips; default: %(default)s")

    add = parser.add_argument_group("coders").add_argument
    add("-m", "--model", metavar="MODEL", action="append", dest="models",
        help="name or folder; may be repeated; default: the bundled one")
    add("-b", "--bandwidths", metavar="RATES", type=comma_list(float), help="kbit/s; default: all that the model has")
    add("--entropy", metavar="CODERS", type=comma_list(str, _ENTROPY), default=[],
        help=f"measure the rate with these too, of {','.join(_ENTROPY)}")
    add("--search", metavar="NUMBERS", type=comma_list(int), default=[1],
        help="code with each of these searches, as --search of the main command; with more than 1 also by the bits of "
             "each of --entropy; default: 1")
    add("--against", metavar="NAMES", type=comma_list(str, (*_AGAINST, "none")), default=list(_AGAINST),
        help=f"some of {','.join(_AGAINST)}, or none; default: all that are installed")
    add("--against-rates", metavar="RATES", type=comma_list(float),
        help="kbit/s; default: 6,12,16,24 for Opus and 16,24,32 for MP3, in stereo 12,24,48 and 32,64")

    group = parser.add_argument_group("output")
    add = group.add_argument
    add("-o", "--out", metavar="FOLDER", type=Path,
        help="write results.json, table.md and rd.png there; the folder is made if need be")
    declare_force(group, "overwrite these files if they exist")
    add("--json", action="store_true", help="print all figures, as in results.json, instead of the table")


def run(args: argparse.Namespace) -> None:
    """Measure, print and write. Raises `ValueError` or `OSError` before the work for what cannot be done."""
    from tinyencodec.tools.evaluate.figures import measure_clips
    from tinyencodec.tools.evaluate.report import markdown, table

    kinds = _kinds(args.sounds)
    if bool(kinds) == bool(args.corpus):
        raise ValueError(f"sounds: expected KIND=PATH or --corpus, got {'both' if kinds else 'neither'}")
    if args.seconds < _SHORTEST:
        raise ValueError(f"--seconds: expected clips of at least {_SHORTEST:g} s, got {args.seconds:g}")
    if args.kinds and not args.corpus:
        raise ValueError("--kinds: expected with --corpus only")
    coders, missing, sample_rate, channels = _coders(args)
    clips = _clips(args, kinds, sample_rate, channels)
    if args.out is not None:
        _check_folder(args)
    figures = measure_clips(clips, coders, sample_rate, coders[0].frame_rate)
    figures["left_out"] = [*missing, *figures["left_out"]]
    source = f"the {args.split} split of {args.corpus.resolve().name}" if args.corpus else "files"
    figures = {"command": shlex.join(["tinyencodec", *args.words]), "source": source, "seed": args.seed} | figures
    pictures = {} if args.out is None else _pictures(figures)
    text = json.dumps(figures, indent=1) + "\n"
    if args.out is not None:
        args.out.mkdir(exist_ok=True)
        files = {"results.json": text.encode(), "table.md": markdown(figures).encode()} | pictures
        for name, data in files.items():
            with atomic_write(args.out / name, args.force) as fo:
                fo.write(data)
    sys.stdout.write(text if args.json else table(figures))


def _kinds(words: list[str]) -> dict[str, list[Path]]:
    """Paths by kind. A word without a kind belongs to that of the word before."""
    kinds: dict[str, list[Path]] = {}
    kind = None
    for word in words:
        if (named := _KIND.fullmatch(word)) and not os.path.exists(word):
            kind, word = named.groups()
        if kind is None:
            raise ValueError(f"{word}: expected KIND=PATH, such as speech={word}, got no kind")
        kinds.setdefault(kind, []).append(Path(word))
    return kinds


def _coders(args: argparse.Namespace) -> tuple[list, list[str], int, int]:
    """Who takes part, a line for each that was asked for and cannot, and the models' sample rate and channels."""
    from tinyencodec.codec.beam import check_search
    from tinyencodec.models.store import load_model
    from tinyencodec.tools.evaluate.codecs import OurCodec, Pcm
    from tinyencodec.tools.evaluate.programs import PROGRAMS, Missing

    models = [load_model(name) for name in args.models or [None]]
    forms = {(model.sample_rate, model.channels) for model in models}
    if len(forms) > 1:
        raise ValueError("models: expected one sample rate and number of channels, got "
                         + " and ".join(f"{rate} Hz with {channels}" for rate, channels in sorted(forms)))
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"models: expected different names, got {', '.join(names)}")
    [(sample_rate, channels)] = forms
    coders: list[Any] = []
    missing = []
    for model in models:
        for search in map(check_search, args.search):
            ours = OurCodec(model, args.bandwidths, args.entropy, search)
            coders.append(ours)
            missing += [line for line in ours.missing if line not in missing]
            coders += [OurCodec(model, args.bandwidths, [kind], search, kind) for kind in ours.kinds if search > 1]
    for name in args.against:
        if name == "pcm":
            coders.append(Pcm(sample_rate, channels))
        elif name != "none":
            try:
                other = PROGRAMS[name](sample_rate, channels, args.against_rates and tuple(args.against_rates))
            except Missing as error:
                missing.append(str(error))
            else:
                coders.append(other)
                missing += [f"{other.name} at {rate:g} kbit/s: not one of its rates" for rate in other.outside]
    return coders, missing, sample_rate, channels


def _clips(args: argparse.Namespace, kinds: dict[str, list[Path]], sample_rate: int, channels: int) -> dict[str, list]:
    from tinyencodec.tools.evaluate.clips import corpus_sounds, draw_clips, file_sounds

    if args.corpus is not None:
        sounds = corpus_sounds(args.corpus, args.split, sample_rate, channels)
        for kind in args.kinds or ():
            if kind not in sounds:
                raise ValueError(f"{args.corpus}: expected kinds of {', '.join(sounds)}, got {kind}")
        sounds = {kind: sounds[kind] for kind in args.kinds or sounds}
    else:
        sounds = {kind: file_sounds(paths, sample_rate, channels) for kind, paths in kinds.items()}
    return {kind: draw_clips(kind, some, args.clips, args.seconds, args.seed) for kind, some in sounds.items()}


def _pictures(figures: dict) -> dict[str, bytes]:
    """The file of the picture; none, and a line in `figures`, without matplotlib."""
    from tinyencodec.tools.evaluate.plots import rate_distortion

    if importlib.util.find_spec("matplotlib") is None:
        figures["left_out"].append("pictures: matplotlib is not installed (pip install 'tinyencodec[evaluate]')")
        return {}
    return {"rd.png": rate_distortion(figures)}


def _check_folder(args: argparse.Namespace) -> None:
    """Raise now the `OSError` that writing the files would raise after all the work."""
    if args.out.exists():
        for name in _OUTPUTS:
            check_output(args.out / name, args.force)
    else:
        check_output(args.out)
