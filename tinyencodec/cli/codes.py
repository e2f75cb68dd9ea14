"""`tinyencodec codes INPUT [OUTPUT]`: the codes of a sound as arrays (`codes_file`), and back.

    audio or .ecdc       -> .npz or .safetensors
    .npz or .safetensors -> .ecdc or audio

Between `.ecdc` and arrays only the model's configuration is needed, not its weights, unless the file is
entropy-coded.
"""

import argparse
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tinyencodec.cli.code import load

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel
    from tinyencodec.ecdc.codes_file import SavedCodes
    from tinyencodec.ecdc.container import EcdcReader

SUMMARY = "Codes as arrays (.npz, .safetensors), for language models and the like; and back."
EXAMPLES = """
tinyencodec codes speech.wav codes.npz               # int [K, F]
tinyencodec codes speech.ecdc codes.safetensors      # without making sound of it
tinyencodec codes codes.npz speech.ecdc              # and back
tinyencodec codes codes.npz speech.wav               # or to sound
python -c "import numpy; print(numpy.load('codes.npz')['codes'].shape)"
"""
_SUFFIX = ".ecdc"


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add = parser.add_argument_group("files").add_argument
    add("input", metavar="INPUT", type=Path, help=f"audio or {_SUFFIX} file; or .npz or .safetensors file with codes")
    add("output", metavar="OUTPUT", type=Path, nargs="?",
        help=f"for sound or {_SUFFIX}: .npz or .safetensors; for codes: {_SUFFIX} or audio (.wav, .flac, .ogg). "
             f"Default: INPUT with the suffix .npz or {_SUFFIX}")
    add("-f", "--force", action="store_true", help="overwrite OUTPUT if it exists")
    group = parser.add_argument_group("coding")
    add = group.add_argument
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help="for sound: kbit/s, one of the model's; default: 6 or the nearest it has")
    which = group.add_mutually_exclusive_group()
    which.add_argument("-q", "--hq", action="store_true", help="for sound: encode with the 48 kHz stereo model")
    which.add_argument("-m", "--model", metavar="MODEL",
                       help="name or folder of the model; default: the bundled one, or the one that INPUT names")
    add("--entropy", choices=("none", "table", "lm"),
        help=f"for codes to {_SUFFIX}: smaller files for tinyencodec only, with checksums; default: none")
    add("-r", "--rescale", action="store_true", help="for codes to audio: scale the sound down rather than clip it")
    add = parser.add_argument_group("machine").add_argument
    add("--threads", metavar="N", type=int, help="at most so many work at once; default: one per processor")
    parser.epilog = ("In these files: codes int [K, F], model, sample_rate, bandwidth, length in samples, and, of "
                     "models that normalise, scales [S].\nThey are arrays in .npz, metadata in .safetensors.")


def run(args: argparse.Namespace) -> None:
    """Do it."""
    from tinyencodec.audio.writer import FORMATS as SOUNDS
    from tinyencodec.ecdc.codes_arrays import SUFFIXES, codes_kind
    from tinyencodec.system.files import check_output

    if args.threads is not None and args.threads < 1:
        raise ValueError(f"threads: expected at least 1, got {args.threads}")
    os.stat(args.input)  # FileNotFoundError
    suffix = args.input.suffix.lower()
    back, sound = suffix in SUFFIXES, suffix not in (*SUFFIXES, _SUFFIX)
    if not sound and (args.bandwidth is not None or args.hq):
        raise ValueError(f"--bandwidth and --hq: expected with sound as INPUT only, got {suffix}")
    dest = args.output or args.input.with_suffix(_SUFFIX if back else SUFFIXES[0])
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
    from tinyencodec.audio.reader import AudioReader
    from tinyencodec.compression import compress_stream
    from tinyencodec.ecdc.container import EcdcHeader, EcdcReader, read_header
    from tinyencodec.models.store import HQ_MODEL
    from tinyencodec.system.progress import progress
    from tinyencodec.system.stdio import quiet_libraries, quietly

    model = load(HQ_MODEL if args.hq else args.model, args)
    bandwidth = model.usual_bandwidth if args.bandwidth is None else args.bandwidth
    EcdcHeader(model.name, 1, model.codebooks_for(bandwidth))  # what no file can hold is told before the work
    coded = io.BytesIO()  # an .ecdc file: small, however long the sound
    with quiet_libraries():
        sound = AudioReader(args.input, model.sample_rate, model.channels)
    with sound, progress("encoding") as report:
        compress_stream(model, quietly(sound), coded, bandwidth, sound.length, progress=report)
    coded.seek(0)
    _write(dest, model, EcdcReader(coded, read_header(coded), model.config), args)


def _from_ecdc(args: argparse.Namespace, dest: Path) -> None:
    from tinyencodec.ecdc.coders import load_coder
    from tinyencodec.ecdc.container import EcdcReader, read_header
    from tinyencodec.system.errors import require
    from tinyencodec.tools.transcode import blame

    with blame(str(args.input)), open(args.input, "rb") as fo:
        header = read_header(fo)
        model = _configured(args.model or header.model, args)
        require(header.model == model.name, "model", repr(model.name), header.model)
        kind = "lm" if header.lm else header.entropy
        reader = EcdcReader(fo, header, model.config, coder=None if kind == "none" else load_coder(kind, model))
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
    from tinyencodec.tools.transcode import blame

    saved = read_codes(args.input)
    if dest.suffix.lower() != _SUFFIX:
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
    from tinyencodec.system.errors import one_line
    from tinyencodec.system.progress import progress
    from tinyencodec.tools.transcode import blame, decompress_file

    coded = io.BytesIO()
    with blame(str(args.input)):
        model = load(args.model or saved.model, args)
        write_ecdc(coded, model, saved.frames(model), saved.length)
    coded.seek(0)
    with progress("decoding") as report:
        done = decompress_file(coded, dest, kind_of(dest), lambda _: (model, None), str(args.input), force=args.force,
                               rescale=args.rescale, progress=report)
    for remark in done.remarks:
        print(one_line(f"tinyencodec codes: warning: {remark}"), file=sys.stderr)


def _configured(name: str, args: argparse.Namespace) -> SimpleNamespace:
    """A model's facts, without its weights, and how many threads its coder may use."""
    from tinyencodec.models.store import find_config

    model = find_config(name)
    model.threads = args.threads or os.cpu_count() or 1
    return model
