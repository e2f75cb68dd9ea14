"""`tinyencodec codes INPUT [OUTPUT]`: the codes of a sound as arrays (`codes_file`), and back.

    audio or .ecdc       -> .npz or .safetensors
    .npz or .safetensors -> .ecdc or audio

Between `.ecdc` and arrays only the model's configuration is needed, not its weights, unless the file is
entropy-coded.
"""

import argparse
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tinyencodec.cli import options
from tinyencodec.ecdc.header import SUFFIX
from tinyencodec.system.errors import blame, require

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel
    from tinyencodec.ecdc.codes_file import SavedCodes
    from tinyencodec.ecdc.container import EcdcReader

EXAMPLES = """
tinyencodec codes speech.wav codes.npz               # int [K, F]
tinyencodec codes speech.ecdc codes.safetensors      # without decoding its sound
tinyencodec codes codes.npz speech.ecdc              # and back
tinyencodec codes codes.npz speech.wav               # or to sound
python -c "import numpy; print(numpy.load('codes.npz')['codes'].shape)"
"""
_PROGRAM = "tinyencodec codes"


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    group = parser.add_argument_group("files")
    add = group.add_argument
    add("input", metavar="INPUT", type=Path, help=f"audio or {SUFFIX} file; or .npz or .safetensors file with codes")
    add("output", metavar="OUTPUT", type=Path, nargs="?",
        help=f"for sound or {SUFFIX}: .npz or .safetensors; for codes: {SUFFIX} or audio (.wav, .flac, .ogg). "
             f"Default: INPUT with the suffix .npz or {SUFFIX}")
    options.declare_force(group, "overwrite OUTPUT if it exists")
    group = parser.add_argument_group("coding")
    add = group.add_argument
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help="for sound: kbit/s, one of the model's; default: 6 or the nearest it has")
    options.declare_model(group, "for sound: encode with the 48 kHz stereo model",
                          "name or folder of the model; default: the bundled one, or the one that INPUT names")
    add("--entropy", choices=("none", "table", "lm"),
        help=f"for codes to {SUFFIX}: smaller files for tinyencodec only, with checksums; default: none")
    add("-r", "--rescale", action="store_true", help="for codes to audio: scale the sound down instead of clipping it")
    options.declare_threads(parser.add_argument_group("machine"))
    parser.epilog = ("In these files: codes int [K, F] and, of models that normalise, scales [S];\nmodel, sample_rate, "
                     "bandwidth, and length in samples, which are arrays in\n.npz, metadata in .safetensors.")


def run(args: argparse.Namespace) -> None:
    """Do it."""
    from tinyencodec.audio.writer import FORMATS
    from tinyencodec.ecdc.codes_arrays import SUFFIXES, codes_kind
    from tinyencodec.system.files import check_output

    options.check_count("threads", args.threads)
    os.stat(args.input)  # FileNotFoundError
    suffix = args.input.suffix.lower()
    back, sound = suffix in SUFFIXES, suffix not in (*SUFFIXES, SUFFIX)
    if not sound and (args.bandwidth is not None or args.hq):
        raise ValueError(f"--bandwidth and --hq: expected with sound as INPUT only, got {suffix}")
    dest = args.output or args.input.with_suffix(SUFFIX if back else SUFFIXES[0])
    if not back:
        codes_kind(dest)
    elif dest.suffix.lower() not in (SUFFIX, *FORMATS):
        raise ValueError(f"{dest}: expected an output name ending in {', '.join((SUFFIX, *FORMATS))}, "
                         f"got {dest.suffix or 'no suffix'}")
    to_sound = back and dest.suffix.lower() != SUFFIX
    if args.entropy and (not back or to_sound):
        raise ValueError(f"--entropy: expected with codes to {SUFFIX} only")
    if args.rescale and not to_sound:
        raise ValueError("--rescale: expected with codes to audio only")
    check_output(dest, args.force)
    if dest.exists() and dest.samefile(args.input):
        raise ValueError(f"{dest}: expected another file for the output than the input, got the same")
    (_from_codes if back else _from_sound if sound else _from_ecdc)(args, dest)


def _from_sound(args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.ecdc.container import EcdcReader
    from tinyencodec.ecdc.header import read_header
    from tinyencodec.system.progress import progress
    from tinyencodec.tools.transcode import compress_file

    model = options.load(options.chosen(args), args)
    coded = io.BytesIO()  # an .ecdc file: small, however long the sound
    with progress("encoding") as report:
        done = compress_file(args.input, coded, model, args.bandwidth, progress=report)
    options.tell(done.remarks, _PROGRAM)
    coded.seek(0)
    _write(dest, model, EcdcReader(coded, read_header(coded), model.config), args)


def _from_ecdc(args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.ecdc.coders import load_coder
    from tinyencodec.ecdc.container import EcdcReader
    from tinyencodec.ecdc.header import read_header

    with blame(str(args.input)), open(args.input, "rb") as fo:
        header = read_header(fo)
        model = _configured(args.model or header.model, args)
        require(header.model == model.name, "model", repr(model.name), header.model)
        coder = None if header.coder_kind == "none" else load_coder(header.coder_kind, model)
        reader = EcdcReader(fo, header, model.config, coder=coder)
        _write(dest, model, reader, args)


def _write(dest: Path, model: "EncodecModel | SimpleNamespace", reader: "EcdcReader", args: argparse.Namespace) -> None:
    """All codes of an `.ecdc` file as arrays."""
    import numpy as np

    from tinyencodec.ecdc.codes_file import write_codes

    frames = list(reader)
    if model.config.segment_length is None:  # the reader's pieces are of one segment
        frames = [(np.concatenate([codes for codes, _ in frames], axis=1), frames[0][1])]
    write_codes(dest, model, frames, reader.audio_length or 0, force=args.force)


def _from_codes(args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.ecdc.coders import load_coder
    from tinyencodec.ecdc.codes_file import read_codes
    from tinyencodec.ecdc.container import write_ecdc
    from tinyencodec.system.files import atomic_write

    saved = read_codes(args.input)
    if dest.suffix.lower() != SUFFIX:
        _to_sound(saved, args, dest)
        return
    with blame(str(args.input)):
        model = _configured(args.model or saved.model, args)
        frames = saved.frames(model)
        coder = load_coder(args.entropy, model) if args.entropy in ("table", "lm") else None
        with atomic_write(dest, args.force) as fo:
            write_ecdc(fo, model, frames, saved.length, coder)


def _to_sound(saved: "SavedCodes", args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.audio.files import kind_of
    from tinyencodec.ecdc.container import write_ecdc
    from tinyencodec.system.progress import progress
    from tinyencodec.tools.transcode import decompress_file

    coded = io.BytesIO()
    with blame(str(args.input)):
        model = options.load(args.model or saved.model, args)
        write_ecdc(coded, model, saved.frames(model), saved.length)
    coded.seek(0)
    with progress("decoding") as report:
        done = decompress_file(coded, dest, kind_of(dest), lambda _: (model, None), str(args.input), force=args.force,
                               rescale=args.rescale, progress=report)
    options.tell(done.remarks, _PROGRAM)


def _configured(name: str, args: argparse.Namespace) -> SimpleNamespace:
    """A model's facts, without its weights, and how many threads its coder may use."""
    from tinyencodec.models.store import find_config
    from tinyencodec.system.workers import processors

    model = find_config(name)
    model.threads = args.threads or processors()
    return model
