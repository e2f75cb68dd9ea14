"""Each promise of `tutorials/threats.md`, by attack. (Those of the PyTorch reader: `test_torchfile`.)"""

import contextlib
import io
import json
import os
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

import tinyencodec
from tests.helpers.models import MONO
from tests.helpers.paths import ROOT, TESTS
from tinyencodec.audio.reader import AudioReader
from tinyencodec.cli import main as cli
from tinyencodec.codec.config import CodecConfig
from tinyencodec.ecdc.codes_file import read_codes, write_codes
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, read_header
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.convert import convert
from tinyencodec.models.tensors import expected_tensors
from tinyencodec.models.weight_files import read_tensors
from tinyencodec.system import untrusted as limits
from tinyencodec.system.compiler.jit import JIT
from tinyencodec.system.files import atomic_write

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("here")


@contextlib.contextmanager
def memory(most):
    """At most so many bytes of Python's and NumPy's memory may be taken in the block."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def refused(call, *args, match="expected"):
    with pytest.raises((ValueError, EOFError), match=match) as caught:
        call(*args)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 2000
    return message


# ---- memory: no claim is believed before there is something behind it --------------------------------


def test_long_json(here):
    """Parsed, it would take many times its length."""
    Path("config.json").write_text('{"a": [' + "0, " * (2 * MIB) + "0]}")
    for config in (CodecConfig, LMConfig):
        with memory(4 * MIB):
            refused(config.from_file, "config.json", match="config.json: expected a JSON file of at most 1048576 bytes")
    with memory(4 * MIB):
        refused(CodecConfig.from_file, "/dev/zero", match="at most 1048576 bytes")


@pytest.mark.parametrize("opening", ["[", '{"a":', "[[{\"a\":["])
def test_deep_json(opening):
    text = opening * 60_000
    Path("config.json").write_text(text)
    for config in (CodecConfig, LMConfig):
        refused(config.from_file, "config.json", match="nested too deeply|expected JSON")
    data = struct.pack("!4sBI", b"ECDC", 0, 60_000) + text.encode()[:60_000]
    refused(read_header, io.BytesIO(data), match="metadata: expected a JSON object")


HOSTILE = {
    "num_filters": [10**9, -1, 0, 10**400, 1.5, True, "32", None, [32]],
    "upsampling_ratios": [[1 << 10] * 2, [2] * 17, [0], [-2, -2], [10**400], [[2]], [], 5, [1.5], "8542"],
    "target_bandwidths": [[10**400], [1e400], [float("nan")], [-1.0], [0], [], [6.0, 3.0], [[6.0]], "6", [True]],
    "chunk_length_s": [10**400, float("nan"), float("inf"), -1, 0, 3600, "1", [1]],
    "codebook_size": [1000, 1 << 40, 1, 0, -1024, 1.0],
    "num_residual_layers": [65, 1 << 20, 0], "dilation_growth_rate": [1 << 20, 0, -2],
    "residual_kernel_size": [1 << 20],
    "num_lstm_layers": [17, -1, 10**400], "sampling_rate": [0, -1, 10**400, float("nan")], "audio_channels": [0, 3, -1],
    "pad_mode": [[], {}, "zeros", "\x1b[2J", "x" * 5000], "norm_type": [[], {}, None, "x" * 5000],
    "codebook_dim": [[], 7, {}],
    "trim_right_ratio": [10**400, float("nan"), -1, 2, "1"], "model_type": ["pickle", [], None, "x" * 5000],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in HOSTILE.items() for value in values],
                         ids=lambda value: str(value)[:20])
def test_config_values(name, value):
    fields = {**CodecConfig().to_dict(), "num_residual_layers": 3, "overlap": 0.1, name: value}
    Path("config.json").write_text(json.dumps(fields))
    message = refused(CodecConfig.from_file, "config.json", match=f"config.json: config field {name}|dilation_growth")
    assert len(message) < 300


@pytest.mark.parametrize("name, value", [
    ("n_layers", 10**400), ("dim", 1 << 30), ("n_heads", 0), ("past_context", -1), ("max_period", 10**400),
    ("max_period", float("nan")), ("ff_dim", [1]), ("codebook_size", True), ("model_type", {}), ("n_codebooks", "2")])
def test_language_model_config_values(name, value):
    Path("config.json").write_text(json.dumps({**LMConfig().to_dict(), name: value}))
    refused(LMConfig.from_file, "config.json", match=f"config.json: config field {name}")


def test_a_key_that_comes_twice_is_checked_as_any():
    """The last one counts, as everywhere in Python; there is no way around the checks."""
    text = json.dumps(CodecConfig().to_dict())[:-1] + ', "num_filters": 1000000000}'
    Path("config.json").write_text(text)
    refused(CodecConfig.from_file, "config.json", match="num_filters: expected an integer from 1 to")


def test_a_config_cannot_ask_for_what_no_weights_pay_for(home):
    """The largest accepted values that cost no weights: what `info` and a small file take of memory."""
    fields = {**MONO.to_dict(), "codebook_size": 65536, "target_bandwidths": [900_000.0], "sampling_rate": 1}
    Path("mono").mkdir()
    Path("mono/config.json").write_text(json.dumps(fields))
    Path("x.ecdc").write_bytes(header_bytes(EcdcHeader("mono", 8, 1024)) + bytes(4096))
    from tinyencodec.ecdc.describe import describe

    with memory(16 * MIB):
        refused(describe, "x.ecdc", "./mono", match="codebooks: expected at most 4194304 entries")


def safetensors_file(path, header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)
    return Path(path)


def test_safetensors_claims():
    for shape, end in (([1 << 40], 1 << 42), ([1 << 32, 1 << 32], 64), ([2**63, 2], 16), ([2**64 - 1], 4), ([-1], 4)):
        path = safetensors_file("a.safetensors", {"codes": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})
        with memory(2 * MIB):
            refused(read_tensors, path)
            refused(read_codes, path)
    for size in (0, 7, 1 << 20, 1 << 62, (1 << 64) - 1):
        path.write_bytes(struct.pack("<Q", size) + b"{}")
        refused(read_tensors, path)
        refused(read_codes, path)


def test_safetensors_with_a_long_header():
    """Its text would become Python objects of many times its length."""
    header = b'{"__metadata__": {"a": "' + b"a" * (limits.MAX_HEADER + 9) + b'"}}'
    path = safetensors_file("a.safetensors", header, b"1")
    with memory(2 * MIB):
        for read in (read_tensors, read_codes):
            refused(read, path, match="expected a safetensors header of at most 4194304 bytes, got 41943")


def test_zip_bombs_of_codes(monkeypatch):
    write_codes("a.npz", tinyencodec.load_model("mono"), [(np.zeros((1, 9), np.int64), None)], 70)
    with zipfile.ZipFile("a.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    codes = io.BytesIO()
    np.save(codes, np.zeros((1, 1 << 24), np.int16))
    with zipfile.ZipFile("b.npz", "w", zipfile.ZIP_DEFLATED) as archive:  # 32 MiB in 33 KiB
        for name, data in (members | {"codes.npy": codes.getvalue()}).items():
            archive.writestr(name, data)
    with memory(2 * MIB):
        refused(read_codes, "b.npz", match="expected an array as numpy.savez stores it, got 'a compressed one")
    header = members["codes.npy"][10:-18].replace(b"(1, 9), }" + b" " * 11, b"(1, 999999999999), }")
    lying = members["codes.npy"][:10] + header + bytes(18)
    with zipfile.ZipFile("c.npz", "w") as archive:
        for name, data in (members | {"codes.npy": lying}).items():
            archive.writestr(name, data)
    with memory(2 * MIB):
        refused(read_codes, "c.npz", match="codes: expected 1999999999998 bytes")
    with zipfile.ZipFile("d.npz", "w") as archive:  # a directory of 1.3 MB
        for i in range(20):
            archive.writestr(f"{i:060000}", b"")
    with memory(3 * MIB):
        refused(read_codes, "d.npz", match="d.npz: expected at most 1048576 bytes of zip directory")


def test_objects_in_codes():
    """`numpy.load` would refuse them too, unless asked for pickles; here there is nobody to ask."""
    facts = {"model": "mono", "sample_rate": 8000, "bandwidth": 4.0, "length": 9, "version": 1}
    np.savez("a.npz", codes=np.array([[print]], object), **facts)
    refused(read_codes, "a.npz", match="codes: expected the header of a plain .npy array")


def test_text_that_is_none():
    """A letter beyond Unicode is a `SystemError` in NumPy."""
    model = np.frombuffer(np.array([0x7FFFFFFF, 65], np.uint32).tobytes(), "<U2")[0:1].reshape(())
    facts = {"sample_rate": 8000, "bandwidth": 4.0, "length": 9, "version": 1}
    np.savez("a.npz", codes=np.zeros((1, 2), np.int16), model=model, **facts)
    refused(read_codes, "a.npz", match="a.npz: model: expected text, got 'something else'")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_that_are_too_large(home):
    """Nothing is said on the terminal but the one line."""
    for dtype in (np.int8, np.float64):
        Path("large").mkdir(exist_ok=True)
        Path("large/config.json").write_text(json.dumps(MONO.to_dict()))
        tensors = {}
        for name, shape in expected_tensors(MONO).items():
            tensors[name] = np.full(shape, 100 if dtype is np.int8 and len(shape) == 2 else 1e300, np.float64)
            if dtype is np.int8 and len(shape) == 2:
                tensors[name], tensors[name + ".scale"] = tensors[name].astype(np.int8), np.full(shape[0], 3e38, "f4")
        save_file(tensors, "large/model.safetensors")
        refused(tinyencodec.load_model, "large", match="holds NaN or infinity")


@pytest.mark.parametrize("data, claim", [
    (header_bytes(EcdcHeader("mono", 1 << 62, 2)), "file ends early"),
    (header_bytes(EcdcHeader("mono", 0, 2, stream=True)) + b"\xff\xff" + bytes(99), "file ends early"),
    (header_bytes(EcdcHeader("mono", 1 << 61, 2, entropy="none", block=500)) + bytes(99), "damaged|ends early"),
    (struct.pack("!4sBI", b"ECDC", 0, 1 << 31) + bytes(99), "metadata length: expected at most 65536"),
    (struct.pack("!4sBI", b"ECDC", 1, 1 << 31) + bytes(99), "metadata length: expected at most 1024|ends early"),
])
def test_lengths_in_ecdc_files(data, claim):
    model = tinyencodec.load_model("mono")
    with memory(4 * MIB):
        refused(tinyencodec.decompress, data, model, match=claim)


def test_lengths_and_forms_in_sound_files():
    """RIFF: encoding, channels, rate, bytes per second, bytes per instant, bits; then a length."""
    def wav(channels=1, rate=8000, bits=16, size=2000, data=bytes(2000)):
        form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 % 2**32, channels * bits // 8 % 65536, bits)
        return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" \
            + struct.pack("<I", size) + data

    for name, data in {"rate 0": wav(rate=0), "rate 2^31": wav(rate=2**31), "rate 2^32 - 1": wav(rate=2**32 - 1),
                       "rate 1": wav(rate=1), "channels 0": wav(channels=0), "channels 65535": wav(channels=65535),
                       "bits 0": wav(bits=0), "bits 65528": wav(bits=65528), "a prime rate": wav(rate=999_983),
                       "no samples": wav(size=0, data=b"")}.items():
        Path("a.wav").write_bytes(data)
        with memory(16 * MIB):
            for source in ("a.wav", Pipe(data)):
                with pytest.raises((ValueError, EOFError)) as caught:
                    sum(block.size for block in AudioReader(source, 24_000, 1))
                assert str(caught.value).isprintable(), name
    Path("a.wav").write_bytes(wav(size=2**32 - 1))
    with memory(16 * MIB):
        assert sum(block.size for block in AudioReader("a.wav", 8000, 1)) == 1000
        for source in ("a.wav", Pipe(wav(size=2**30))):
            Path("a.wav").write_bytes(wav(size=2**30))
            with AudioReader(source, 8000, 1) as reader:
                assert sum(block.size for block in reader) == 1000
            assert reader.missing == 2**29 - 1000 and len(reader.remarks) == 1


class Pipe(io.BytesIO):
    def seekable(self):
        return False


@pytest.mark.skipif(not JIT, reason="the naive twin of the matrix product gathers all rows that it multiplies")
def test_small_sounds_stay_small():
    """24 Hz to 24 kHz is a thousandfold; 200 channels in little silence are many: blocks get shorter."""
    soundfile.write("a.wav", np.zeros(8_000, np.int16), 24)
    with memory(64 * MIB):
        assert sum(block.size for block in AudioReader("a.wav", 24_000, 1)) == 8_000_000
    soundfile.write("b.wav", np.zeros((10_000, 200), np.int16), 8000)
    with memory(40 * MIB):
        assert sum(block.size for block in AudioReader("b.wav", 8000, 1)) == 10_000


# ---- names: no file elsewhere is read or written -----------------------------------------------------

NAMES = ["../mono", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "a\0b", "a\nb", "\x1b[2Jx", "a" * 101, "mono ", "é",
         "a\\b", "C:x", "\u202emono", "mono\r", "%2e%2e%2fmono", "$HOME", "~root", "-m mono", "*"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_model_names_in_files(here, tmp_path_factory, name, capsys, monkeypatch):
    """A folder of that name may well lie there; a file cannot reach it, nor write on the terminal."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TINYENCODEC_HOME", str(home))
    for place in (here, home / "models"):
        with contextlib.suppress(ValueError, OSError):
            (place / name).mkdir(parents=True, exist_ok=True)
            (place / name / "config.json").write_text(json.dumps(MONO.to_dict()))
    fields = {"m": name, "al": 9, "nc": 1, "lm": False}
    text = json.dumps(fields).encode()
    Path("x.ecdc").write_bytes(struct.pack("!4sBI", b"ECDC", 0, len(text)) + text + bytes(9))
    for argv in (["x.ecdc", "x.wav"], ["info", "x.ecdc"], ["codes", "x.ecdc", "y.npz"]):
        assert cli.main(argv) == 2
        err = capsys.readouterr().err
        assert "model name (m): expected 1 to 100 letters" in err and err.endswith("\n") and err[:-1].isprintable()
    facts = {"model": name, "sample_rate": "8000", "bandwidth": "4.0", "length": "9", "version": "1"}
    save_file({"codes": np.zeros((1, 2), np.int16)}, "x.safetensors", facts)
    assert cli.main(["codes", "x.safetensors", "x.wav"]) == 2
    err = capsys.readouterr().err
    assert "model name (m): expected" in err and err[:-1].isprintable()
    assert not Path("x.wav").exists()


def test_model_names_have_no_way_out():
    """What a name in a file may be is one component of a path, and not a hidden one."""
    for name in ("a", "a.b", "-x", "_", "encodec_24khz"):
        assert EcdcHeader(name, 1, 1).model == name == Path(name).name and not name.startswith(".")


def test_names_in_archives(tmp_path):
    """Members of a zip file are read by name, never unpacked."""
    write_codes("a.npz", tinyencodec.load_model("mono"), [(np.zeros((1, 9), np.int64), None)], 70)
    with zipfile.ZipFile("a.npz", "a") as archive:
        for name in ("../evil", "/tmp/evil-tinyencodec", "codes.npy/../../evil"):
            archive.writestr(name, b"evil")
    before = sorted(tmp_path.rglob("*"))
    assert read_codes("a.npz").codes.shape == (1, 9)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/tmp/evil-tinyencodec").exists()


def test_tensor_names_on_the_terminal(home, capsys):
    folder = Path("evil")
    folder.mkdir()
    (folder / "config.json").write_text((home / "models" / "mono" / "config.json").read_text())
    tensors = {name: np.zeros(shape, np.float32) for name, shape in expected_tensors(MONO).items()}
    tensors["encoder.\x1b]0;owned\x07" + "a" * 250] = np.zeros(1, np.float32)
    save_file(tensors, folder / "model.safetensors")
    Path("in.wav").write_bytes(b"")
    assert cli.main(["-m", "evil", "in.wav", "x.ecdc"]) == 2
    assert cli.main(["convert", "evil", "dest"]) == 2
    err = capsys.readouterr().err
    assert all(line.isprintable() and len(line) < 1500 for line in err.splitlines()) and "encoder.\\x1b]0;owned" in err


@pytest.mark.parametrize("name", ["a\x1b[31mred.wav", "a\rb.wav", "a\u202eb.wav", "a\x9b2Jb.wav", "a\x07\x08.wav",
                                  "a\udcffb.wav"])
def test_file_names_on_the_terminal(capsys, name):
    """Somebody else's archive may have given the files their names."""
    Path(name).write_bytes(b"no sound")
    for argv in ([name], [name, "x.mp9"], ["info", name], ["codes", name, name], ["-b", "7", name],
                 ["--block", name, "x"]):
        with contextlib.suppress(SystemExit):
            assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 6 and all(line.isprintable() for line in err.splitlines())


def test_links_are_no_trap(here, tmp_path, monkeypatch):
    """The temporary file beside an output is a new one under a name that nobody can guess, never a link."""
    (tmp_path / "victim").write_text("old")
    monkeypatch.setattr("tinyencodec.system.files.secrets.token_hex", lambda _: "guessed")
    os.symlink(tmp_path / "victim", here / ".guessed.tmp")
    with pytest.raises(FileExistsError), atomic_write("out.wav") as fo:
        fo.write(b"new")
    assert (tmp_path / "victim").read_text() == "old" and not Path("out.wav").exists()
    os.symlink(tmp_path / "elsewhere", here / "dest")
    (tmp_path / "elsewhere").mkdir()
    source = Path(os.environ["TINYENCODEC_HOME"]) / "models" / "mono"
    refused(convert, source, "dest", match="expected a new or an empty folder")
    assert not list((tmp_path / "elsewhere").iterdir())


# ---- wrong output taken for right --------------------------------------------------------------------


def test_what_is_damaged_is_not_handed_on(capsys):
    soundfile.write("in.wav", 0.1 * np.random.default_rng(0).standard_normal(4000), 8000)
    assert cli.main(["-m", "mono", "--protect", "--block", "0.1", "in.wav", "in.ecdc"]) == 0
    data = bytearray(Path("in.ecdc").read_bytes())
    data[len(data) // 2] ^= 1
    Path("bad.ecdc").write_bytes(data)
    assert cli.main(["bad.ecdc", "out.wav"]) == 2 and not Path("out.wav").exists()
    assert re.fullmatch(r"tinyencodec: bad.ecdc: block \d \(.* s to .* s\): damaged: expected checksum \w+, "
                        r"got '\w+'\n", capsys.readouterr().err)


def test_weights_that_are_no_numbers(home):
    folder = Path("nan")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(MONO.to_dict()))
    for value in (np.nan, np.inf, -np.inf):
        tensors = {name: np.full(shape, value, np.float32) for name, shape in expected_tensors(MONO).items()}
        save_file(tensors, folder / "model.safetensors")
        refused(tinyencodec.load_model, folder, match="holds NaN or infinity")


def test_the_page_names_tests_that_exist():
    page = (ROOT / "tutorials" / "threats.md").read_text()
    code = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    names = re.findall(r"`(?:tests/)?(?:\w+/)*(test_\w+)`", page)
    assert len(names) > 20
    assert not [name for name in names if not any(TESTS.rglob(f"{name}.py")) and f"def {name}(" not in code]
