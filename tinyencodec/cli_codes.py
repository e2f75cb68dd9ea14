"""`tinyencodec codes INPUT [OUTPUT]`: the codes of a sound as arrays (`codes_file`), and back.

    audio or .ecdc       -> .npz or .safetensors
    .npz or .safetensors -> .ecdc or audio

Between `.ecdc` and arrays only the model's configuration is needed, not its weights, unless the file is
entropy-coded.
"""

import argparse
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyencodec.codes_file import SavedCodes

SUMMARY = "Codes as arrays (.npz, .safetensors), for language models and the like; and back."
_SUFFIX = ".ecdc"


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add = parser.add_argument
    add("input", metavar="INPUT", type=Path, help=f"audio or {_SUFFIX} file; or .npz or .safetensors file with codes")
    add("output", metavar="OUTPUT", type=Path, nargs="?",
        help=f"for sound or {_SUFFIX}: .npz or .safetensors; for codes: {_SUFFIX} or audio (.wav, .flac, .ogg). "
             f"Default: INPUT with the suffix .npz or {_SUFFIX}")
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help="for sound: kbit/s, one of the model's; default: 6 or the nearest it has")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-q", "--hq", action="store_true", help="for sound: encode with the 48 kHz stereo model")
    which.add_argument("-m", "--model", metavar="MODEL",
                       help="name or folder of the model; default: the bundled one, or the one that INPUT names")
    add("--entropy", choices=("none", "table", "lm"), default=None,
        help=f"for codes to {_SUFFIX}: smaller files for tinyencodec only, with checksums")
    add("-f", "--force", action="store_true", help="overwrite OUTPUT if it exists")
    add("-r", "--rescale", action="store_true", help="for codes to audio: scale the sound down rather than clip it")
    add("--threads", metavar="N", type=int, help="at most so many work at once; default: one per processor")
    parser.epilog = ("codes int [K, F], model, sample_rate, bandwidth, length in samples, and of models that normalise "
                     "scales [S]: arrays in .npz, metadata in .safetensors.")


def run(args: argparse.Namespace) -> None:
    """Do it."""
    from tinyencodec.codes_arrays import FORMATS, codes_kind
    from tinyencodec.files import check_output
    from tinyencodec.sink import FORMATS as SOUNDS

    if args.threads is not None and args.threads < 1:
        raise ValueError(f"threads: expected at least 1, got {args.threads}")
    os.stat(args.input)  # FileNotFoundError
    suffix = args.input.suffix.lower()
    back, sound = suffix in FORMATS, suffix not in (*FORMATS, _SUFFIX)
    if not sound and (args.bandwidth is not None or args.hq):
        raise ValueError(f"--bandwidth and --hq: expected with sound as INPUT only, got {suffix}")
    dest = args.output or args.input.with_suffix(_SUFFIX if back else FORMATS[0])
    if not back:
        codes_kind(dest)
    elif dest.suffix.lower() not in (_SUFFIX, *SOUNDS):
        raise ValueError(f"{dest}: expected an output name ending in {', '.join((_SUFFIX, *SOUNDS))}, "
                         f"got {dest.suffix or 'no suffix'}")
    to_sound = back and dest.suffix.lower() != _SUFFIX
    if args.entropy and (not back or to_sound):
        raise ValueError(f"--entropy: expected with codes to {_SUFFIX} only")
    if args.rescale and not to_sound:
        raise ValueError("--rescale: expected with codes to audio only")
    check_output(dest, args.force)
    if dest.exists() and dest.samefile(args.input):
        raise ValueError(f"{dest}: expected another file for the output than the input, got the same")
    (_from_codes if back else _from_sound if sound else _from_ecdc)(args, dest)


def _from_sound(args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.audio import read_audio
    from tinyencodec.codes_file import write_codes
    from tinyencodec.progress import progress
    from tinyencodec.standard import quiet_libraries
    from tinyencodec.store import HQ_MODEL

    model = _load(HQ_MODEL if args.hq else args.model, args)
    bandwidth = args.bandwidth
    if bandwidth is None:
        bandwidth = min(model.bandwidths, key=lambda rate: abs(rate - 6.0))
    model.codebooks_for(bandwidth)  # told before the work
    with quiet_libraries():
        wav = read_audio(args.input, model.sample_rate, model.channels)
    with progress("encoding") as report:
        frames = model.encode(wav, bandwidth, progress=report)
    write_codes(dest, model, frames, wav.shape[1], force=args.force)


def _from_ecdc(args: argparse.Namespace, dest: Path) -> None:
    import numpy as np

    from tinyencodec.codes_file import write_codes
    from tinyencodec.ecdc import EcdcReader, read_header
    from tinyencodec.ecdc_header import require
    from tinyencodec.entropy import load_coder

    try:
        with open(args.input, "rb") as fo:
            header = read_header(fo)
            model = _configured(args.model or header.model, args)
            require(header.model == model.name, "model", repr(model.name), header.model)
            kind = "lm" if header.lm else header.entropy
            reader = EcdcReader(fo, header, model.config, coder=None if kind == "none" else load_coder(kind, model))
            frames = list(reader)
    except (ValueError, EOFError) as error:
        raise (EOFError if isinstance(error, EOFError) else ValueError)(f"{args.input}: {error}") from None
    if model.config.segment_length is None:  # the reader's pieces are of one segment
        frames = [(np.concatenate([codes for codes, _ in frames], axis=1), frames[0][1])]
    write_codes(dest, model, frames, reader.audio_length, force=args.force)


def _from_codes(args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.codes_file import read_codes

    saved = read_codes(args.input)
    try:
        (_to_ecdc if dest.suffix.lower() == _SUFFIX else _to_sound)(saved, args, dest)
    except ValueError as error:
        raise ValueError(f"{args.input}: {error}") from None


def _to_ecdc(saved: "SavedCodes", args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.ecdc import write_ecdc
    from tinyencodec.entropy import load_coder
    from tinyencodec.files import atomic_write

    model = _configured(args.model or saved.model, args)
    frames = saved.frames(model)
    coder = load_coder(args.entropy, model) if args.entropy in ("table", "lm") else None
    with atomic_write(dest, args.force) as fo:
        write_ecdc(fo, model, frames, saved.length, coder)


def _to_sound(saved: "SavedCodes", args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.audio import write_audio
    from tinyencodec.progress import progress

    model = _load(args.model or saved.model, args)
    with progress("decoding") as report:
        wav = model.decode(saved.frames(model), saved.length, progress=report)
    write_audio(dest, wav, model.sample_rate, args.rescale, force=args.force)


def _load(name: str | None, args: argparse.Namespace):
    from tinyencodec.store import load_model

    model = load_model(name)
    model.threads = args.threads or model.threads
    return model


def _configured(name: str, args: argparse.Namespace) -> SimpleNamespace:
    """A model's facts, without its weights, and how many threads its coder may use."""
    from tinyencodec.store import find_config

    model = find_config(name)
    model.threads = args.threads or os.cpu_count() or 1
    return model
