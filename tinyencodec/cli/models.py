"""`tinyencodec models` lists the models; `tinyencodec fetch NAME` gets official ones."""

import argparse
import json
import shutil
import sys
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyencodec.models.listing import Listed

SUMMARY = "List the models: bundled, fetched, and those to fetch."
EXAMPLES = """
tinyencodec models
tinyencodec models --json | jq -r '.[].name'       # for programs: sizes in bytes, rates in kbit/s
TINYENCODEC_HOME=/data/models tinyencodec models   # another place for fetched models
"""
FETCH_SUMMARY = "Fetch official models: download, check, convert. Or take files that are already here."
FETCH_EXAMPLES = """
tinyencodec fetch encodec_24khz                    # with its language model, for --lm
tinyencodec fetch --no-lm encodec_24khz encodec_48khz encodec_32khz
tinyencodec -m encodec_24khz speech.wav            # as the official program compresses it
# For a machine without network, a file or a folder from elsewhere:
tinyencodec fetch encodec_24khz --from encodec_24khz-d7cc33bc.th
tinyencodec fetch encodec_24khz encodec_48khz --from ~/.cache/torch/hub/checkpoints
tinyencodec fetch encodec_24khz --url https://mirror.example/encodec
"""
_HEADINGS = ("NAME", "WHERE", "SIZE", "SOUND", "KBIT/S", "WITH", "LICENCE OF WEIGHTS")


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models`."""
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")


def run(args: argparse.Namespace) -> None:
    """Print the list."""
    from tinyencodec.models.listing import inventory
    from tinyencodec.models.store import home

    models = inventory()
    if args.json:
        print(json.dumps([each.to_dict() for each in models], indent=2))
        return
    rows = [_HEADINGS, *(_row(each) for each in models)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print()
    for each in models:
        if each.problem:
            print(f"{each.name} is damaged: {each.problem}")
        if each.checked == "nothing":
            print(f"{each.name} was taken as it came: nothing tells whether its weights are the official ones.")
    default = next((each.name for each in models if each.default), None)
    if default:
        print(f"{default} is used where no model is named.")
    if any(each.where == "fetchable" for each in models):
        print("`tinyencodec fetch NAME` gets a fetchable one, with its language model (LM) if it has one.")
    print(f"Fetched models lie in {home() / 'models'} (TINYENCODEC_HOME sets another place).")


def _row(each: "Listed") -> tuple[str, ...]:
    size = f"{'' if each.exact else '~'}{each.size / 1e6:.{1 if each.size < 1e7 else 0}f} MB"
    if each.config is None:
        return each.name, each.where, size, "damaged", "", "", each.licence
    config = each.config
    sound = f"{config.sampling_rate / 1000:g} kHz {'stereo' if config.audio_channels == 2 else 'mono'}"
    extras = [name for name, there in (("tables", each.tables), ("LM", each.lm)) if there]
    return (each.name, each.where, size, sound, " ".join(f"{rate:g}" for rate in config.target_bandwidths),
            " ".join(extras) or "-", each.licence)


def declare_fetch(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fetch`."""
    from tinyencodec.models.official import OFFICIAL

    add = parser.add_argument
    add("names", metavar="NAME", nargs="+", help=f"{', '.join(OFFICIAL)}")
    add("--from", dest="source", metavar="FILE|DIR", help="take the weights from here, not from the network: an "
        "official file, a folder with some, a Hub folder, or a model folder of another machine")
    add("--no-lm", dest="lm", action="store_false", help="without the language model")
    add("--half", action="store_true", help="store float16: half the size")
    add("--url", metavar="BASE", help="a mirror: address below which the files lie under their own names; default: the "
        "environment variable TINYENCODEC_MIRROR, else the official addresses. Hashes are checked all the same")
    add("--offline", action="store_true", default=None, help="do not use the network; so does the environment variable "
        "TINYENCODEC_OFFLINE=1")
    add("-f", "--force", action="store_true", help="fetch it again, and replace the model's folder with all in it")


def run_fetch(args: argparse.Namespace) -> int | None:
    """Fetch each; of several, one that fails does not stop the others."""
    from tinyencodec.codec.config import CodecConfig
    from tinyencodec.models.fetch.fetch import fetch_model
    from tinyencodec.models.official import OFFICIAL
    from tinyencodec.models.store import HQ_MODEL

    names = list(dict.fromkeys(args.names))
    for name in names:
        if name not in OFFICIAL:
            raise ValueError(f"expected names of official models, {', '.join(OFFICIAL)}, got {name!r}; `tinyencodec "
                             "convert` makes models of other weights")
    failed = 0
    for name in names:
        try:
            folder = fetch_model(name, args.source, lm=args.lm, half=args.half, force=args.force,
                                 offline=args.offline, mirror=args.url, tell=_tell)
        except (ValueError, OSError) as error:
            if len(names) == 1:
                raise
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            print(f"tinyencodec fetch: {name}: {where}{getattr(error, 'strerror', None) or error}", file=sys.stderr)
            failed += 1
            continue
        config = CodecConfig.from_file(folder / "config.json")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        lm = "with" if (folder / "lm").is_dir() else "without"
        print(f"{name}: {config.sampling_rate} Hz, {config.audio_channels} channel(s), {size / 1e6:.0f} MB, {lm} "
              f"language model; use it with {'--hq' if name == HQ_MODEL else f'-m {name}'}")
    return 1 if failed else None


def _tell(line: str) -> None:
    if sys.stdout.isatty():
        width = min(shutil.get_terminal_size().columns, 100)
        line = fill(line, width, break_long_words=False, break_on_hyphens=False)
    print(line, flush=True)
