"""Arguments that several commands share: how they are declared, parsed and checked, and the model that they name."""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tinyencodec.codec.config import USUAL_BANDWIDTH
from tinyencodec.ecdc.header import BLOCK_SECONDS
from tinyencodec.system.errors import one_line, require

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel

# What options are added to; argparse has no public name for it.
Group = argparse._ActionsContainer


def declare_coding(parser: argparse.ArgumentParser) -> None:
    """How sound is coded."""
    group = parser.add_argument_group("coding")
    add = group.add_argument
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help=f"kbit/s, one of the model's; default: {USUAL_BANDWIDTH:g} or the nearest it has")
    declare_model(group, "compress with the 48 kHz stereo model, tiny_48khz",
                  "name or folder of the model; default: the bundled one, or the one that made the file")
    coder = group.add_mutually_exclusive_group()
    coder.add_argument("--entropy", choices=("none", "table", "lm"), help="smaller files for tinyencodec only, with "
                       "checksums: by the model's tables, or by its language model (smaller still, slower); default: "
                       "none, a file that the official program reads")
    coder.add_argument("-l", "--lm", dest="entropy", action="store_const", const="lm", help="--entropy lm")
    add("--protect", action="store_true", help="add checksums, also without --entropy")
    add("--block", metavar="SECONDS", type=float,
        help=f"length of a block in a file with checksums; damage costs a whole block; default: {BLOCK_SECONDS:g}")
    add("--search", metavar="N", type=int, help="choices that are kept while searching the codes: 8, say, for better "
        "sound in the same bits; slower to compress. Default: 1, the codes of the official program")
    add("--rate-weight", metavar="X", type=float, help="with --entropy and --search: how much the bits of a code count "
        "beside its error; 0: not at all, more: smaller files of a worse sound. Default: 1, at 6 kbit/s "
        "about as good as without a search")


def declare_model(group: Group, hq: str, model: str) -> None:
    """`--hq` or `--model`, with these words of help."""
    which = group.add_mutually_exclusive_group()
    which.add_argument("-q", "--hq", action="store_true", help=hq)
    which.add_argument("-m", "--model", metavar="MODEL", help=model)


def declare_force(group: Group, what: str) -> None:
    """`--force`, which does `what`."""
    group.add_argument("-f", "--force", action="store_true", help=what)


def declare_threads(group: Group) -> None:
    """`--threads`."""
    group.add_argument("--threads", metavar="N", type=int,
                       help="at most this many threads; default: one per processor")


def check_count(what: str, number: int | None) -> None:
    """`ValueError` unless the number is given and at least 1, or not given."""
    require(number is None or number >= 1, what, "at least 1", number)


def check_coding(args: argparse.Namespace) -> None:
    """`ValueError` for `--search` or `--rate-weight` out of range, or where nothing is coded so; or `--block`."""
    if args.search is not None:
        from tinyencodec.codec.beam import check_search

        check_search(args.search)
    if args.rate_weight is not None:
        from tinyencodec.entropy.rate import check_weight

        check_weight(args.rate_weight)
        require(args.entropy in ("table", "lm"), "--rate-weight", "with --entropy table or lm", args.entropy or "none")
    if args.block is not None and not args.protect and args.entropy in (None, "none"):
        raise ValueError("--block: expected with --entropy table, --entropy lm or --protect")


def chosen(args: argparse.Namespace) -> str | None:
    """The name or folder of the model that `--hq` or `--model` chooses to code with; None if neither does."""
    from tinyencodec.models.store import HQ_MODEL

    return HQ_MODEL if args.hq else args.model


def load(name: str | None, args: argparse.Namespace) -> "EncodecModel":
    """The model of that name or folder, None for the default, to work with as many threads as the user wants.

    Raises `OSError` or `ValueError` as `load_model`.
    """
    from tinyencodec.models.store import load_model

    model = load_model(name)
    model.threads = args.threads or model.threads
    return model


def tell(remarks: Iterable[str], prog: str = "tinyencodec") -> None:
    """Print remarks on an output that has a fault."""
    for remark in remarks:
        print(one_line(f"{prog}: warning: {remark}"), file=sys.stderr)


# ---- types of arguments ------------------------------------------------------------------------------


def comma_list(kind: type, known: tuple[str, ...] = (), what: str = "") -> Callable[[str], list]:
    """A parser of values with commas between, each taken once: names (of those `known`), or positive numbers.

    what : to call a name that is not known
    """
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
                expected = f"expected some of {','.join(known)}"
                raise argparse.ArgumentTypeError(f"unknown {what} {value!r}: {expected}" if what else
                                                 f"{expected}, got {value!r}")
        return values

    return parse


def positive(kind: type) -> Callable[[str], Any]:
    """A parser of one positive number."""
    def parse(text: str) -> Any:
        values = comma_list(kind)(text)
        if len(values) != 1:
            raise argparse.ArgumentTypeError(f"expected one number, got {text!r}")
        return values[0]

    return parse


def between(kind: type, low: float, high: float, expected: str) -> Callable[[str], Any]:
    """A parser of one number within limits."""
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse
