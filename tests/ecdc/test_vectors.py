"""The test vectors that others may use: the package reads each, and still writes each byte for byte."""

import hashlib
import io
import os

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers import vectors
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.ecdc.container import EcdcReader
from tinyencodec.ecdc.header import read_header

EXPECTED = vectors.expected()
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def test_the_list_has_every_file():
    assert EXPECTED["files"] == {f"{name}.ecdc": which for name, (which, _) in vectors.FILES.items()}
    assert {path.name for path in vectors.FOLDER.glob("*.ecdc")} == set(EXPECTED["files"])
    assert {path.stem for path in vectors.FOLDER.glob("*.flac")} == set(EXPECTED["signals"])


@pytest.mark.parametrize("name", sorted(vectors.FILES))
def test_codes_scales_and_sound(name):
    signal = EXPECTED["signals"][EXPECTED["files"][f"{name}.ecdc"]]
    data = (vectors.FOLDER / f"{name}.ecdc").read_bytes()
    model = tinyencodec.load_model(signal["model"])
    fo = io.BytesIO(data)
    header = read_header(fo)
    reader = EcdcReader(fo, header, model.config, coder=load_coder(header.coder_kind, model))
    pairs = list(reader)
    assert (header.model, reader.audio_length) == (signal["model"], signal["samples"])
    codes = np.concatenate([codes for codes, _ in pairs], axis=1)  # blocks and packets may divide a segment
    assert np.array_equal(codes, np.concatenate([np.array(rows) for rows in signal["codes"]], axis=1))
    if model.config.normalize:
        assert [scale for _, scale in pairs] == signal["scales"]
        assert [codes.shape[1] for codes, _ in pairs] == [len(rows[0]) for rows in signal["codes"]]

    wav, rate = tinyencodec.decompress(data, model)
    sound, stored_rate = soundfile.read(vectors.FOLDER / signal["sound"], dtype="int16", always_2d=True)
    assert rate == stored_rate and wav.shape == (model.channels, signal["samples"])
    assert hashlib.sha256(sound.astype("<i2").tobytes()).hexdigest() == signal["sha256"]
    if COMPILED:
        assert np.array_equal(vectors.pcm16(wav), sound)
    assert np.abs(np.clip(wav, -1, 32767 / 32768).T - sound / 32768).max() < 1e-4


@pytest.mark.parametrize("name", sorted(vectors.FILES))
def test_the_same_bytes_are_written(name):
    assert vectors.made(name) == (vectors.FOLDER / f"{name}.ecdc").read_bytes()
