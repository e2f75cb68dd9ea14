"""Codes as .npz and .safetensors files: nothing is lost, and nothing in a file is believed before it is checked."""

import io
import os
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

import tinyencodec
from tests.helpers.signals import noise
from tinyencodec.codec.config import CodecConfig
from tinyencodec.ecdc.codes_file import read_codes, write_codes
from tinyencodec.ecdc.container import read_ecdc, write_ecdc
from tinyencodec.ecdc.header import read_header

SHAPES = ["causal", "scaled", "segments", "segments, no norm"]
KINDS = ["npz", "safetensors"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ecdc(model, frames, length):
    fo = io.BytesIO()
    write_ecdc(fo, model, frames, length)
    return fo.getvalue()


@given(st.sampled_from(SHAPES), st.sampled_from(KINDS), st.integers(1, 500), st.data())
def test_there_and_back(models, shape, kind, length, data):
    model = models[shape]
    bandwidth = data.draw(st.sampled_from(model.bandwidths))
    wav = noise(model, length, length)
    frames, path = model.encode(wav, bandwidth), f"codes.{kind}"
    write_codes(path, model, frames, length)
    saved = read_codes(path)
    assert saved.codes.dtype == np.int16 and saved.codes.shape[0] == model.codebooks_for(bandwidth)
    assert (saved.scales is None) != model.config.normalize
    assert (saved.model, saved.sample_rate, saved.length) == (model.name, model.sample_rate, length)
    assert saved.bandwidth == pytest.approx(bandwidth)
    for ours, theirs in zip(saved.frames(model), frames, strict=True):
        np.testing.assert_array_equal(ours.codes, theirs.codes)
        assert ours.scale == theirs.scale
    np.testing.assert_array_equal(model.decode(saved.frames(model), saved.length), model.decode(frames, length))
    assert ecdc(model, saved.frames(model), saved.length) == tinyencodec.compress(model, wav, bandwidth)


@given(st.sampled_from(SHAPES), st.sampled_from(KINDS), st.integers(1, 300))
def test_ecdc_files_come_back_byte_by_byte(models, shape, kind, length):
    model = models[shape]
    data = tinyencodec.compress(model, noise(model, length), 1.6)
    fo = io.BytesIO(data)
    header = read_header(fo)
    write_codes(f"codes.{kind}", model, read_ecdc(fo, model, header), header.audio_length)
    saved = read_codes(f"codes.{kind}")
    assert ecdc(model, saved.frames(model), saved.length) == data


def test_other_libraries_read_them(models):
    model, wav = models["segments"], noise(models["segments"], 333)
    frames = model.encode(wav, 0.8)
    codes = np.concatenate([frame.codes for frame in frames], axis=1)
    write_codes("a.npz", model, frames, 333)
    write_codes("a.safetensors", model, frames, 333)
    with np.load("a.npz", allow_pickle=False) as file:
        assert set(file) == {"codes", "scales", "model", "sample_rate", "bandwidth", "length", "version"}
        np.testing.assert_array_equal(file["codes"], codes)
        assert file["codes"].dtype == np.int16 and file["scales"].dtype == np.float32
        assert (str(file["model"]), int(file["sample_rate"]), int(file["length"])) == ("segments", 800, 333)
        assert float(file["bandwidth"]) == pytest.approx(0.8) and int(file["version"]) == 1
    tensors = load_file("a.safetensors")
    assert set(tensors) == {"codes", "scales"}
    np.testing.assert_array_equal(tensors["codes"], codes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_each_time(models, kind):
    model = models["causal"]
    frames = model.encode(noise(model, 100), 1.6)
    for name in ("a", "b"):
        write_codes(f"{name}.{kind}", model, frames, np.int64(100))
    assert Path(f"a.{kind}").read_bytes() == Path(f"b.{kind}").read_bytes()
    with pytest.raises(FileExistsError):
        write_codes(f"a.{kind}", model, frames, 100, force=False)


def test_large_codebooks():
    model = SimpleNamespace(name="large", config=CodecConfig(codebook_size=1 << 16, target_bandwidths=(1.2,)))
    write_codes("a.npz", model, [(np.array([[65_535, 0]]), None)], 640)
    assert read_codes("a.npz").codes.dtype == np.int32
    assert read_codes("a.npz").frames(model)[0].codes.tolist() == [[65_535, 0]]


@pytest.mark.parametrize("shape, frames, length, message", [
    ("causal", [], 9, "frames: expected at least one segment"),
    ("causal", [([[1, 2]], None)], 17, "codes: expected the frames of 17 samples, 3, got 2"),
    ("causal", [([[1, 2]], None)], 8, "codes: expected the frames of 8 samples, 1, got 2"),
    ("causal", [([[1, 16]], None)], 16, "codes: expected 0 ... 15, got [1, 16]"),
    ("causal", [([[-1, 1]], None)], 16, "codes: expected 0 ... 15, got [-1, 1]"),
    ("causal", [([[1.0]], None)], 8, "codes: expected integers, got dtype('float64')"),
    ("causal", [([1], None)], 8, "codes: expected shape [1 ... 4, F], got [1]"),
    ("causal", [([[1]] * 5, None)], 8, "codes: expected shape [1 ... 4, F], got [5, 1]"),
    ("causal", [([[1]], 2.0)], 8, "scales: expected none for this model, got [2.0]"),
    ("causal", [([[1]], None)], 0, "audio length (al): expected an integer from 1 to 2**62, got 0"),
    ("causal", [([[1]], None)], 1 << 62, "codes: expected the frames of"),
    ("causal", [([[1]], None)], 8.0, "audio length (al): expected an integer from 1 to 2**62, got 8.0"),
    ("segments", [([[1]], None)], 8, "scales: expected a number for each segment, got [None]"),
    ("segments", [([[1]], -1.0)], 8, "scales: expected finite numbers of at least 0, got array([-1.]"),
    ("segments", [([[1]], 1.0), ([[1]], 1.0)], 16, "scales: expected 1, one per segment, got 2"),
    ("segments, no norm", [([[1]], None)] * 2, 16, "codes: expected segments of [2] frames, got [1, 1]"),
    ("segments", [([[1]], 1.0), ([[1], [1]], 1.0)], 16, "codes: expected the same K in each segment"),
])
def test_write_refuses(models, shape, frames, length, message):
    for kind in KINDS:
        with pytest.raises(ValueError) as error:
            write_codes(f"a.{kind}", models[shape], frames, length)
        assert message in str(error.value)
    assert os.listdir() == []


def test_another_suffix(models):
    for call in (lambda: read_codes("a.npy"), lambda: write_codes("a.npy", models["causal"], [([[1]], None)], 8)):
        with pytest.raises(ValueError, match=r"a.npy: expected a name ending in .npz or .safetensors, got .npy"):
            call()
    with pytest.raises(FileNotFoundError):
        read_codes("a.npz")


GOOD = {"codes": np.array([[1, 2]], np.int16), "model": "causal", "sample_rate": 800, "bandwidth": 0.4,
        "length": 16, "version": 1}


def write_npz(save=np.savez, **changes):
    with open("a.npz", "wb") as fo:
        save(fo, **{name: value for name, value in (GOOD | changes).items() if value is not None})


def test_what_others_may_write(models):
    """Other integer types, byte orders and memory layouts of the same codes."""
    for dtype in ("i8", "<i4", ">i2", "u2"):
        write_npz(codes=np.asfortranarray(np.array([[1, 2], [3, 4]])).astype(dtype, order="K"), bandwidth=1)
        saved = read_codes("a.npz")
        assert saved.codes.tolist() == [[1, 2], [3, 4]] and saved.codes.dtype.isnative and saved.bandwidth == 1.0
        assert saved.frames(models["causal"])[0].codes.tolist() == [[1, 2], [3, 4]]


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("boom",)


@pytest.mark.parametrize("changes, message", [
    ({"codes": None}, "codes file: expected codes, model, sample_rate, bandwidth, length, version, got 'one without c"),
    ({"length": None}, "without length"),
    ({"codes": np.array([[Bomb()]], object)}, "codes: expected the header of a plain .npy array of version 1.0"),
    ({"model": np.array(Bomb(), object)}, "model: expected the header of a plain .npy array of version 1.0"),
    ({"codes": np.ones((1, 2))}, "codes: expected integers in 2 dimension(s), got '[1, 2] of kind f'"),
    ({"codes": np.ones(2, int)}, "codes: expected integers in 2 dimension(s), got '[2] of kind i'"),
    ({"codes": np.ones((2, 0), int)}, "codes: expected at least 1 frame, got 0"),
    ({"codes": np.ones((0, 2), int)}, "codebooks (nc): expected an integer from 1 to 1024, got 0"),
    ({"scales": np.ones((1, 1))}, "scales: expected floats in 1 dimension(s), got '[1, 1] of kind f'"),
    ({"model": "../evil"}, "model name (m): expected 1 to 100 letters, digits"),
    ({"model": "a" * 101}, "model: expected one str, got '<U101 []'"),
    ({"model": 5}, "model: expected one str, got 'int64 []'"),
    ({"length": 5.0}, "length: expected one int, got 'float64 []'"),
    ({"length": [5]}, "length: expected one int, got 'int64 [1]'"),
    ({"length": 0}, "audio length (al): expected an integer from 1 to 2**62, got 0"),
    ({"sample_rate": 0}, "sample_rate: expected at least 1 Hz, got 0"),
    ({"bandwidth": np.nan}, "bandwidth: expected a positive number, got nan"),
    ({"version": 2}, "version: expected 1, got 2"),
    ({"save": np.savez_compressed}, "codes: expected an array as numpy.savez stores it, got 'a compressed one"),
])
def test_bad_npz(changes, message):
    write_npz(**changes)
    with pytest.raises(ValueError) as error:
        read_codes("a.npz")
    assert message in str(error.value) and str(error.value).startswith("a.npz: ")
    assert not Path("boom").exists()


def test_sizes_that_no_file_has():
    """A header that claims more than the file holds is refused before memory is taken."""
    write_npz()
    data = Path("a.npz").read_bytes()
    with zipfile.ZipFile("a.npz") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    for shape in ("(1, 999999999999)", "(1, 3)", "(1, 1)", "(99999999, 99999999)"):
        npy = members["codes.npy"].replace(b"(1, 2)", shape.encode())
        npy = npy[:8] + struct.pack("<H", len(npy) - 14) + npy[10:]
        with zipfile.ZipFile("a.npz", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, npy if name == "codes.npy" else content)
        with pytest.raises(ValueError, match=r"a.npz: codes: expected \d+ bytes for \[.*\] of int16, got"):
            read_codes("a.npz")
    for descr in (b"<f1", b"|O4", b"<c8", b"|b1", b"abc", b"<M8"):  # types that there are not, or that are not wanted
        with zipfile.ZipFile("a.npz", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content.replace(b"<i2", descr) if name == "codes.npy" else content)
        with pytest.raises(ValueError, match="a.npz: codes: expected the header of a plain .npy array of version 1.0"):
            read_codes("a.npz")
    for bad in (b"", b"PK", data[:-1], data[:100], data[100:], bytes(1000)):
        Path("a.npz").write_bytes(bad)
        with pytest.raises(ValueError, match="a.npz: expected a whole .npz file, got a damaged or another one"):
            read_codes("a.npz")


def write_safetensors(codes=GOOD["codes"], scales=None, **changes):
    tensors = {name: array for name, array in (("codes", codes), ("scales", scales)) if array is not None}
    facts = {name: str(value) for name, value in (GOOD | changes).items() if name != "codes" and value is not None}
    Path("a.safetensors").write_bytes(save(tensors, facts))


@pytest.mark.parametrize("changes, message", [
    ({"codes": None}, "without codes"),
    ({"model": None}, "without model"),
    ({"codes": np.ones((1, 2), np.float32)}, "codes: expected integers in 2 dimension(s), got '[1, 2] of kind f'"),
    ({"codes": np.ones((1, 2), bool)}, "codes: expected integers in 2 dimension(s), got '[1, 2] of kind b'"),
    ({"scales": np.ones(1, int)}, "scales: expected floats in 1 dimension(s), got '[1] of kind i'"),
    ({"length": "many"}, "length: expected int in the metadata, got 'many'"),
    ({"bandwidth": "inf"}, "bandwidth: expected a positive number, got inf"),
    ({"length": "9" * 4000}, "audio length (al): expected an integer from 1 to 2**62"),
    ({"model": "a/b"}, "model name (m)"),
    ({"version": 0}, "version: expected 1, got 0"),
])
def test_bad_safetensors(changes, message):
    write_safetensors(**changes)
    with pytest.raises(ValueError) as error:
        read_codes("a.safetensors")
    assert message in str(error.value) and str(error.value).startswith("a.safetensors: ")


def test_cut_safetensors():
    write_safetensors()
    data = Path("a.safetensors").read_bytes()
    for bad in (b"", data[:-1], data[:20], struct.pack("<Q", 1 << 60) + data[8:], bytes(500)):
        Path("a.safetensors").write_bytes(bad)
        with pytest.raises(ValueError, match="a.safetensors: expected a whole safetensors file, got a damaged"):
            read_codes("a.safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_is_an_error_or_harmless(models, kind):
    """Flipped and cut bytes: `ValueError`, or codes of the shape that the file has room for."""
    model, random = models["segments"], np.random.default_rng(0)
    write_codes(f"good.{kind}", model, model.encode(noise(model, 100), 0.8), 100)
    data = Path(f"good.{kind}").read_bytes()
    for _ in range(300):
        bad = bytearray(data[:random.integers(len(data) // 2, len(data) + 1)] if random.random() < 0.2 else data)
        for place in random.integers(0, len(bad), random.integers(1, 4)):
            bad[place] = random.integers(256)
        Path(f"bad.{kind}").write_bytes(bad)
        try:
            saved = read_codes(f"bad.{kind}")
            assert saved.codes.nbytes <= len(data)
            saved.frames(model)
        except ValueError as error:
            assert "expected" in str(error)


@pytest.mark.parametrize("changes, message", [
    ({"model": "other"}, "model: expected 'causal', got 'other'"),
    ({"sample_rate": 801}, "sample rate: expected 800 Hz, got 801"),
    ({"length": 17}, "codes: expected the frames of 17 samples, 3, got 2"),
    ({"length": 1 << 62}, "codes: expected the frames of"),
    ({"codes": np.array([[1, 16]])}, "codes: expected 0 ... 15, got [1, 16]"),
    ({"codes": np.array([[1, -1]])}, "codes: expected 0 ... 15, got [-1, 1]"),
    ({"codes": np.ones((5, 2), int)}, "codes: expected shape [1 ... 4, F], got [5, 2]"),
    ({"scales": np.ones(1)}, "scales: expected none for this model"),
])
def test_codes_of_another_model(models, changes, message):
    write_npz(**changes)
    with pytest.raises(ValueError) as error:
        read_codes("a.npz").frames(models["causal"])
    assert message in str(error.value)


@pytest.mark.parametrize("scales, message", [
    (None, "scales: expected one per segment, got None"),
    (np.ones(0), "scales: expected one for each of 1 segments, got 0"),
    (np.ones(2), "scales: expected 1, one per segment, got 2"),
    (np.array([np.nan]), "scales: expected finite numbers of at least 0, got array([nan])"),
])
def test_scales_that_do_not_fit(models, scales, message):
    write_npz(model="segments", scales=scales)
    with pytest.raises(ValueError) as error:
        read_codes("a.npz").frames(models["segments"])
    assert message in str(error.value)
