"""Bad inputs, and word for word what the program says: one line on standard error, exit code 2, no file written."""

import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers import torch_writer
from tests.helpers.models import RATE, save_model
from tests.helpers.program import run
from tinyencodec.audio.pcm import wav_header
from tinyencodec.ecdc.header import EcdcHeader, header_bytes

pytestmark = pytest.mark.usefixtures("here")
MODELS = "tiny_24khz, tiny_48khz, loud, mono, stereo"


def made(name, data):
    Path(name).write_bytes(data)
    return name


def ecdc(payload=bytes(125), model="mono", length=1000, codebooks=2, **fields):
    with open("x.ecdc", "wb") as fo:
        fo.write(header_bytes(EcdcHeader(model, length, codebooks, **fields)))
        fo.write(payload)
    return "x.ecdc"


def raw_header(**fields):
    text = json.dumps({"m": "mono", "al": 1000, "nc": 2, "lm": False} | fields).encode()
    return made("x.ecdc", b"ECDC\0" + struct.pack("!I", len(text)) + text + bytes(125))


def blocks(cut=None, flip=None):
    wav = np.random.default_rng(0).standard_normal((1, 4000)).astype(np.float32)
    data = bytearray(tinyencodec.compress(tinyencodec.load_model("mono"), wav, 8.0, block=0.1, protect=True))
    if flip:
        data[flip] ^= 1
    return made("x.ecdc", bytes(data[:cut]))


def sound(name, samples, rate=RATE):
    soundfile.write(name, samples, rate, "FLOAT")
    return name


def codes(name="x.npz", **changes):
    saved = {"codes": np.zeros((2, 9), np.int16), "model": "mono", "sample_rate": RATE, "bandwidth": 8.0, "length": 70,
             "version": 1} | changes
    np.savez(name, **{key: value for key, value in saved.items() if value is not None})
    return name


def torch(program=b"N", **members):
    torch_writer.torch_zip(Path("x.th"), program, members)
    return "x.th"


def shards(index):
    folder = save_model("m")
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    return "m"


C = ["-m", "mono"]
BAD = {  # name -> arguments, message; ... stands for anything
    # the use of the program
    "nothing": (lambda: [],
        "tinyencodec: the following arguments are required: INPUT (see tinyencodec --help)"),
    "unknown option": (lambda: [*C, "in.wav", "--nonsense"],
        "tinyencodec: unrecognized arguments: --nonsense (see tinyencodec --help)"),
    "three files": (lambda: [*C, "in.wav", "a.ecdc", "b.ecdc"],
        "tinyencodec: expected INPUT and OUTPUT, got 1 more, b.ecdc... (see tinyencodec --help)"),
    "mistyped command": (lambda: ["inof", "x.ecdc"],
        "tinyencodec: inof: neither a file nor a command; did you mean `tinyencodec info`? (see tinyencodec --help)"),
    "two models": (lambda: ["-q", *C, "in.wav"],
        "tinyencodec: argument -m/--model: not allowed with argument -q/--hq (see tinyencodec --help)"),
    "rate that is no number": (lambda: [*C, "-b", "much", "in.wav"],
        "tinyencodec: argument -b/--bandwidth: invalid float value: 'much' (see tinyencodec --help)"),
    "rate of another model": (lambda: [*C, "-b", "6", "in.wav"],
        "tinyencodec: bandwidth: model mono offers 4, 8, 16 kbit/s, got 6.0"),
    "rate nan": (lambda: [*C, "-b", "nan", "in.wav"],
        "tinyencodec: bandwidth: model mono offers 4, 8, 16 kbit/s, got nan"),
    "no threads": (lambda: [*C, "--threads", "0", "in.wav"],
        "tinyencodec: threads: expected at least 1, got 0"),
    "block without checksums": (lambda: [*C, "--block", "2", "in.wav"],
        "tinyencodec: --block: expected with --entropy table, --entropy lm or --protect"),
    "block of 0 s without checksums": (lambda: [*C, "--block", "0", "in.wav"],
        "tinyencodec: --block: expected with --entropy table, --entropy lm or --protect"),
    "block of 0 s": (lambda: [*C, "--protect", "--block", "0", "in.wav"],
        "tinyencodec: block: expected a positive number of seconds, got 0.0"),
    "block nan": (lambda: [*C, "--protect", "--block", "nan", "in.wav"],
        "tinyencodec: block: expected a positive number of seconds, got nan"),
    "long block": (lambda: [*C, "--protect", "--block", "99", "in.wav"],
        "tinyencodec: block: expected at most 20.96 s, which fit 65535 bytes, got 99.0"),
    "unknown entropy coding": (lambda: [*C, "--entropy", "zip", "in.wav"],
        "tinyencodec: argument --entropy: invalid choice: 'zip' (choose from ...) (see tinyencodec --help)"),
    "no tables": (lambda: [*C, "--entropy", "table", "in.wav"],
        "tinyencodec: model mono has no tables: expected {home}/models/mono/tables.safetensors"),
    "no language model": (lambda: [*C, "--lm", "in.wav"],
        "tinyencodec: model mono has no language model: expected {home}/models/mono/lm/config.json"),
    "rate without raw": (lambda: [*C, "--rate", "8000", "in.wav"],
        "tinyencodec: --rate and --channels: expected with --raw and sound as INPUT only"),
    "rate 0 without raw": (lambda: [*C, "--rate", "0", "in.wav"],
        "tinyencodec: --rate and --channels: expected with --raw and sound as INPUT only"),
    "keep going with sound": (lambda: [*C, "in.wav", "--keep-going"],
        "tinyencodec: --keep-going: expected with an .ecdc file as INPUT, got sound"),
    "coding of an .ecdc file": (lambda: ["--lm", ecdc()],
        "tinyencodec: --entropy, --protect, --block, --search and --rate-weight: expected with sound as INPUT, got an "
        ".ecdc file"),
    "search of an .ecdc file": (lambda: [ecdc(), "--search", "8"],
        "tinyencodec: --entropy, --protect, --block, --search and --rate-weight: expected with sound as INPUT, got an "
        ".ecdc file"),
    "no choices": (lambda: [*C, "--search", "0", "in.wav"],
        "tinyencodec: search: expected a whole number from 1 to 256, got 0"),
    "too many choices": (lambda: [*C, "--search", "1000000000000", "in.wav"],
        "tinyencodec: search: expected a whole number from 1 to 256, got 1000000000000"),
    "half a choice": (lambda: [*C, "--search", "1.5", "in.wav"],
        "tinyencodec: argument --search: invalid int value: '1.5' (see tinyencodec --help)"),
    "rate weight nan": (lambda: [*C, "--lm", "--search", "8", "--rate-weight", "nan", "in.wav"],
        "tinyencodec: rate weight: expected a number from 0 to 1000, got nan"),
    "negative rate weight": (lambda: [*C, "--lm", "--rate-weight=-1", "in.wav"],
        "tinyencodec: rate weight: expected a number from 0 to 1000, got -1.0"),
    "rate weight without entropy coding": (lambda: [*C, "--search", "8", "--rate-weight", "0", "in.wav"],
        "tinyencodec: --rate-weight: expected with --entropy table or lm, got 'none'"),
    # models
    "unknown model": (lambda: ["-m", "nobody", "in.wav"],
        "tinyencodec: unknown model 'nobody': expected a folder or one of {models}"),
    "model to fetch": (lambda: ["-m", "encodec_24khz", "in.wav"],
        "tinyencodec: unknown model 'encodec_24khz': expected a folder or one of {models}; "
        "`tinyencodec fetch ..."),
    "empty model folder": (lambda: ["-m", (os.mkdir("empty"), "./empty")[1], "in.wav"],
        "tinyencodec: model folder ./empty: expected config.json and model.safetensors, found no config.json"),
    "config that is no JSON": (lambda: ["-m", save_model("m"), "in.wav", *([] if made("m/config.json", b"{") else [])],
        "tinyencodec: m/config.json: expected JSON, got something else: ..."),
    "config that is no object": (lambda: ["-m", save_model("m"), "in.wav",
        *([] if made("m/config.json", b"[1]") else [])],
        "tinyencodec: m/config.json: config: expected a JSON object, got list"),
    "config that is no UTF-8": (lambda: ["-m", save_model("m"), "in.wav",
        *([] if made("m/config.json", b"\xff") else [])],
        "tinyencodec: m/config.json: expected JSON, got something else: ..."),
    "config of another model type": (lambda: ["-m", save_model("m", model_type="dac"), "in.wav"],
        "tinyencodec: m/config.json: config field model_type: expected 'encodec', got 'dac'"),
    "huge config value": (lambda: ["-m", save_model("m", num_filters=10**9), "in.wav"],
        "tinyencodec: m/config.json: config field num_filters: expected an integer from 1 to 1048576, "
        "got 1000000000"),
    "weights of another shape": (lambda: ["-m", save_model("m", tensors={"encoder.layers.0.conv.bias": np.zeros(3,
        "f4")}), "in.wav"],
        "tinyencodec: m/model.safetensors: expected the tensors of the model in config.json, got "
        "others: encoder.layers.0.conv.bias: expected [2], got [3]"),
    "weights with NaN": (lambda: ["-m", save_model("m", tensors={"encoder.layers.0.conv.bias": np.full(2, np.nan,
        "f4")}), "in.wav"],
        "tinyencodec: m/model.safetensors: expected the tensors of the model in config.json, got "
        "others: encoder.layers.0.conv.bias holds NaN or infinity"),
    "missing weights": (lambda: ["-m", save_model("m", tensors={"encoder.layers.0.conv.bias": None}), "in.wav"],
        "tinyencodec: m/model.safetensors: expected the tensors of the model in config.json, got "
        "others: encoder.layers.0.conv.bias [2] is missing"),
    "no weights": (lambda: ["-m", save_model("m"), "in.wav", *([] if os.unlink("m/model.safetensors") else [])],
        "tinyencodec: model folder m: expected readable config.json and model.safetensors: [Errno 2] "
        "No such file or directory: 'm/model.safetensors'"),
    "cut weights": (lambda: ["-m", save_model("m"), "in.wav",
        *([] if made("m/model.safetensors", Path("m/model.safetensors").read_bytes()[:-1]) else [])],
        "tinyencodec: m/model.safetensors: expected a whole safetensors file, got a damaged or another one: ..."),
    # sound
    "missing input": (lambda: [*C, "none.wav"],
        "tinyencodec: none.wav: No such file or directory"),
    "folder as input": (lambda: [*C, "."],
        "tinyencodec: .: expected a file of sound or an .ecdc file, got a folder"),
    "empty sound": (lambda: [*C, made("a.wav", b"")],
        "tinyencodec: a.wav: expected an audio file, got something unreadable (...)"),
    "text as sound": (lambda: [*C, made("a.mp3", b"hello, world\n" * 99)],
        "tinyencodec: a.mp3: expected an audio file, got something unreadable (not what its suffix says)"),
    "sound without a rate": (lambda: [*C, made("a.raw", bytes(99))],
        "tinyencodec: a.raw: expected an audio file, got the suffix .raw, which tells no sample rate"),
    "no samples": (lambda: [*C, sound("a.wav", np.zeros((0, 1)))],
        "tinyencodec: a.wav: expected at least one sample, got none"),
    "NaN": (lambda: [*C, sound("a.wav", np.array([0.0] * 80 + [np.nan]))],
        "tinyencodec: a.wav: audio: expected finite samples, got nan in channel 0 at 0.0100 s"),
    "low rate": (lambda: [*C, sound("a.wav", np.zeros(9), 7)],
        "tinyencodec: a.wav: sample rates: expected a ratio of at most 1000, got 7 Hz to 8000 Hz"),
    "high rate": (lambda: [*C, sound("a.wav", np.zeros(9), 2_000_000)],
        "tinyencodec: a.wav: sample rate: expected an integer from 1 to 1000000 Hz, got 2000000"),
    "odd rate": (lambda: [*C, sound("a.wav", np.zeros(9), 999_983)],
        "tinyencodec: a.wav: sample rates: expected two whose ratio is of integers up to 65536, got "
        "999983 Hz to 8000 Hz"),
    "raw sound of no channels": (lambda: [*C, "--raw", "s16le", "--channels", "0", "in.wav"],
        "tinyencodec: in.wav: channels: expected 1 to 1024, got 0"),
    "raw sound of 2000 channels": (lambda: [*C, "--raw", "s16le", "--channels", "2000", "in.wav"],
        "tinyencodec: in.wav: channels: expected 1 to 1024, got 2000"),
    "raw sound at 0 Hz": (lambda: [*C, "--raw", "s16le", "--rate", "0", "in.wav"],
        "tinyencodec: in.wav: sample rate: expected an integer from 1 to 1000000 Hz, got 0"),
    # outputs
    "output exists": (lambda: [*C, "in.wav", made("a.ecdc", b"old")],
        "tinyencodec: a.ecdc: file exists; use -f to overwrite"),
    "output is the input": (lambda: ["-f", *C, "in.wav", "./in.wav"],
        "tinyencodec: in.wav: expected another file for the output than the input, got the same"),
    "output in no folder": (lambda: [*C, "in.wav", "none/a.ecdc"],
        "tinyencodec: {here}/none: output folder does not exist"),
    "output is a folder": (lambda: [*C, "in.wav", (os.mkdir("d.ecdc"), "d.ecdc")[1]],
        "tinyencodec: d.ecdc: expected a file to write to, got a folder"),
    "output of another kind": (lambda: [*C, "in.wav", "a.mp4"],
        "tinyencodec: a.mp4: expected an output name ending in .ecdc, .wav, .flac, .ogg, got .mp4"),
    "output without a suffix": (lambda: [*C, "in.wav", "out"],
        "tinyencodec: out: expected an output name ending in .ecdc, .wav, .flac, .ogg, got no suffix"),
    "raw output with a suffix": (lambda: ["--raw", "s16le", ecdc(), "a.wav"],
        "tinyencodec: a.wav: expected another suffix for raw samples, got .wav"),
    "control characters": (lambda: [*C, "in.wav", "a\x1b[2J\n.mp4"],
        "tinyencodec: a\\x1b[2J .mp4: expected an output name ending in .ecdc, .wav, .flac, .ogg, got .mp4"),
    # .ecdc
    "missing .ecdc": (lambda: ["none.ecdc"],
        "tinyencodec: none.ecdc: No such file or directory"),
    "empty .ecdc": (lambda: [made("x.ecdc", b"")],
        "tinyencodec: x.ecdc: file ends early: expected 4 bytes of header, got 0"),
    "sound as .ecdc": (lambda: [made("x.ecdc", Path("in.wav").read_bytes())],
        "tinyencodec: x.ecdc: not an .ecdc file: first bytes: expected b'ECDC', got b'RIFF'"),
    "other version": (lambda: [made("x.ecdc", b"ECDC\2" + bytes(50))],
        "tinyencodec: x.ecdc: not an .ecdc file: version: expected 0 or 1, got 2"),
    "no metadata": (lambda: [made("x.ecdc", b"ECDC\0\0\0\0\2[]" + bytes(50))],
        "tinyencodec: x.ecdc: not an .ecdc file: metadata: expected a JSON object, got b'[]'"),
    "metadata without keys": (lambda: [made("x.ecdc", b"ECDC\0\0\0\0\2{}" + bytes(50))],
        "tinyencodec: x.ecdc: not an .ecdc file: metadata: expected the keys m, al, nc, lm, got []"),
    "path as a model": (lambda: [raw_header(m="../../etc/passwd")],
        "tinyencodec: x.ecdc: not an .ecdc file: model name (m): expected 1 to 100 letters, digits, "
        "'.', '_', '-', no dot first, got '../../etc/passwd'"),
    "escape sequence as a model": (lambda: [raw_header(m="\x1b[2J")],
        "tinyencodec: x.ecdc: not an .ecdc file: model name (m): expected 1 to 100 letters, digits, "
        "'.', '_', '-', no dot first, got '\\x1b[2J'"),
    "length of text": (lambda: [raw_header(al="1000")],
        "tinyencodec: x.ecdc: not an .ecdc file: audio length (al): expected an integer from 1 to 2**62, got '1000'"),
    "negative length": (lambda: [raw_header(al=-1)],
        "tinyencodec: x.ecdc: not an .ecdc file: audio length (al): expected an integer from 1 to 2**62, got -1"),
    "no codebooks": (lambda: [raw_header(nc=0)],
        "tinyencodec: x.ecdc: not an .ecdc file: codebooks (nc): expected an integer from 1 to 1024, got 0"),
    "unknown model in a file": (lambda: [ecdc(model="nobody")],
        "tinyencodec: x.ecdc: unknown model 'nobody': expected a folder or one of {models}"),
    "model of a file to fetch": (lambda: [ecdc(model="encodec_48khz")],
        "tinyencodec: x.ecdc: unknown model 'encodec_48khz': expected a folder or one of {models}; "
        "`tinyencodec fetch ..."),
    "file of another model": (lambda: ["-m", save_model("other"), ecdc()],
        "tinyencodec: x.ecdc: model: expected 'other', got 'mono'"),
    "many codebooks": (lambda: [ecdc(codebooks=5)],
        "tinyencodec: x.ecdc: codebooks (nc) of model mono: expected 1 to 4, got 5"),
    "cut .ecdc": (lambda: [ecdc(bytes(124))],
        "tinyencodec: x.ecdc: file ends early: expected 125 bytes after the header, got 124"),
    "long claim": (lambda: [ecdc(length=2**60)],
        "tinyencodec: x.ecdc: file ends early: expected 144115188075855872 bytes after the header, got 125"),
    "official language model": (lambda: [ecdc(lm=True)],
        "tinyencodec: x.ecdc: coded with the official language model, which rounds differently on every machine: "
        "decode it with the official program where it was written, in the same set-up, then code the sound again"),
    "damaged block": (lambda: [blocks(flip=500)],
        "tinyencodec: x.ecdc: block 3 (0.300 s to 0.400 s): damaged: expected checksum ..., got ..."),
    "cut blocks": (lambda: [blocks(cut=500)],
        "tinyencodec: x.ecdc: block 3 (0.300 s to 0.400 s): file ends early: expected 110 bytes of a block, got 77"),
    "no undamaged block": (lambda: [blocks(cut=150), "--keep-going"],
        "tinyencodec: x.ecdc: blocks: expected at least one that is undamaged, got 'none'"),
    # other commands
    "info of sound": (lambda: ["info", "in.wav"],
        "tinyencodec info: in.wav: not an .ecdc file: first bytes: expected b'ECDC', got b'RIFF'"),
    "info of nothing": (lambda: ["info", "none.ecdc"],
        "tinyencodec info: none.ecdc: No such file or directory"),
    "info of a cut file": (lambda: ["info", ecdc(bytes(99))],
        "tinyencodec info: x.ecdc: file ends early: expected 125 bytes after the header, got 99"),
    "convert nothing": (lambda: ["convert", "none.th", "dest"],
        "tinyencodec convert: none.th: expected a model file, or a folder with model.safetensors, got neither"),
    "convert sound": (lambda: ["convert", "in.wav", "dest"],
        "tinyencodec convert: in.wav: expected a PyTorch zip file, got one that starts with b'RIFF'"),
    "convert into a folder in use": (lambda: ["convert", save_model("m"), "."],
        "tinyencodec convert: {here}: expected a new or an empty folder to write to, got one in use"),
    "convert a pickle that runs": (lambda: ["convert", torch(b"cos\nsystem\nX\x02\0\0\0id\x85R"), "dest"],
        "tinyencodec convert: x.th: pickle: expected plain data, got the name 'os system': refused"),
    "convert a number": (lambda: ["convert", torch(b"K\x07"), "dest"],
        "tinyencodec convert: x.th: expected a state dict of a codec or a language model, got int"),
    "convert a placeholder beside nothing": (lambda: ["convert",
        torch(b"}X\1\0\0\0acos\nsystem\nX\2\0\0\0id\x85Rs"), "dest"],
        "tinyencodec convert: x.th: expected a state dict of a codec or a language model, got entries such as ['a']"),
    "index that is no JSON": (lambda: ["-m", shards("{"), "in.wav"],
        "tinyencodec: m/model.safetensors.index.json: expected JSON, got something else: ..."),
    "index without a map": (lambda: ["convert", shards("{}"), "dest"],
        "tinyencodec convert: m/model.safetensors.index.json: weight_map: expected an object with a file for each "
        "tensor, got NoneType"),
    "index that leads elsewhere": (lambda: ["-m", shards('{"weight_map": {"x": "../x.safetensors"}}'), "in.wav"],
        "tinyencodec: m/model.safetensors.index.json: weight_map: expected names of .safetensors files beside it, got "
        "'../x.safetensors'"),
    "missing shard": (lambda: ["-m", shards('{"weight_map": {"x": "b.safetensors"}}'), "in.wav"],
        "tinyencodec: m/model.safetensors.index.json: expected the files that it names beside it, got "
        "no b.safetensors"),
    "shard of something else": (lambda: ["-m", shards('{"weight_map": {"x": "a.safetensors"}}'), "in.wav"],
        "tinyencodec: m/a.safetensors: expected the tensors that model.safetensors.index.json names, got others: 'x' "
        "is missing; 'decoder.layers.0.conv.bias' is not in the index; ..."),
    "convert the old format": (lambda: ["convert", made("x.th", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), "dest"],
        "tinyencodec convert: x.th: expected a PyTorch zip file, got one that starts with "
        "b'\\x80\\x02\\x8a\\n' (the format before PyTorch 1.6?)"),
    "codes to nothing known": (lambda: ["codes", *C, "in.wav", "a.txt"],
        "tinyencodec codes: a.txt: expected a name ending in .npz or .safetensors, got .txt"),
    "codes of no codes": (lambda: ["codes", made("x.npz", b"PK")],
        "tinyencodec codes: x.npz: expected a whole .npz file, got a damaged or another one: ..."),
    "codes without a length": (lambda: ["codes", codes(length=None)],
        "tinyencodec codes: x.npz: codes file: expected codes, model, sample_rate, bandwidth, length, "
        "version, got 'one without length'"),
    "codes of objects": (lambda: ["codes", codes(codes=np.array([[None]], object))],
        "tinyencodec codes: x.npz: codes: expected the header of a plain .npy array of version 1.0, "
        "got b\"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }                    "),
    "codes of floats": (lambda: ["codes", codes(codes=np.zeros((2, 9)))],
        "tinyencodec codes: x.npz: codes: expected integers in 2 dimension(s), got '[2, 9] of kind f'"),
    "codes of another length": (lambda: ["codes", codes(length=99)],
        "tinyencodec codes: x.npz: codes: expected the frames of 99 samples, 13, got 9"),
    "codes too large": (lambda: ["codes", codes(codes=np.full((2, 9), 16))],
        "tinyencodec codes: x.npz: codes: expected 0 ... 15, got [16, 16]"),
    "codes at another rate": (lambda: ["codes", codes(sample_rate=24_000)],
        "tinyencodec codes: x.npz: sample rate: expected 8000 Hz, got 24000"),
    "codes of an unknown model": (lambda: ["codes", codes(model="nobody")],
        "tinyencodec codes: x.npz: unknown model 'nobody': expected a folder or one of {models}"),
    "rate of codes": (lambda: ["codes", "-b", "4", codes()],
        "tinyencodec codes: --bandwidth and --hq: expected with sound as INPUT only, got .npz"),
    "fetch something unknown": (lambda: ["fetch", "nobody"],
        "tinyencodec fetch: expected names of official models, ..., got 'nobody'; ..."),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, home, here, capfd):
    build, message = BAD[name]
    argv = build()
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    try:
        code = run(*argv)
    except SystemExit as stop:  # argparse's way
        code = stop.code
    out, err = capfd.readouterr()
    for what, value in (("{home}", home), ("{here}", here), ("{models}", MODELS)):
        message = message.replace(what, str(value))
    expected = re.escape(message).replace(r"\.\.\.", ".*")
    assert re.fullmatch(expected + "\n", err), err
    assert (code, out) == (2, "") and err[:-1].isprintable()
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


def test_there_are_many():
    assert len(BAD) >= 40


# ---- standard input ----------------------------------------------------------------------------------

_UNREADABLE = "standard input: expected an audio file, got something unreadable ..."
PIPED = {  # arguments, what comes through the pipe, message
    "nothing": (["-m", "mono", "-", "x.ecdc"], b"", "standard input: expected sound or an .ecdc file, got nothing"),
    "three bytes": (["-m", "mono", "-", "x.ecdc"], b"ECD", _UNREADABLE),
    "text": (["-m", "mono", "-", "x.ecdc"], b"hello" * 99, _UNREADABLE),
    "no raw samples": (["-m", "mono", "--raw", "s16le", "-", "x.ecdc"], b"1",
                       "standard input: expected at least one sample, got none"),
    "cut .ecdc": (["-", "x.wav"], b"ECDC\0\0\0", "standard input: file ends early: expected 5 bytes of header, got 3"),
    "nothing to decompress": (["--decompress", "-", "x.wav"], b"",
                              "standard input: file ends early: expected 4 bytes of header, got 0"),
    "sound to decompress": (["--decompress", "-", "x.wav"], b"RIFF" + bytes(50),
                            "standard input: not an .ecdc file: first bytes: expected b'ECDC', got b'RIFF'"),
    "WAV without a sample": (["-m", "mono", "-", "x.ecdc"], wav_header(RATE, 1, 1000) + b"1",
                             "standard input: expected at least one sample, got none"),
    "cut FLAC": (["-m", "mono", "-", "x.ecdc"], b"fLaC\x80\0\0\x22" + bytes(20), _UNREADABLE),
    "MP3 of a tag": (["-m", "mono", "-", "x.ecdc"], b"ID3\4\0\0\0\0\1\0" + bytes(128), _UNREADABLE),
    "two Ogg pages of nothing": (["-m", "mono", "-", "x.ecdc"], (b"OggS\0\2" + bytes(21)) * 2, _UNREADABLE),
}


@pytest.mark.parametrize("name", PIPED)
def test_bad_standard_input(name, here, capfd):
    argv, data, message = PIPED[name]
    saved = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        code = run(*argv)
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    out, err = capfd.readouterr()
    assert re.fullmatch(re.escape(f"tinyencodec: {message}\n").replace(r"\.\.\.", ".*"), err), err
    assert (code, out) == (2, "") and os.listdir() == ["in.wav"]
