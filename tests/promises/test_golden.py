"""Parity with the reference implementations without having them: tiny models and what the oracles made of them.

tests/parity/make_golden.py wrote the fixtures and says what they hold. Signals were chosen so that
no code is nearly tied: codes have to be equal, all of them.
"""

import io

import numpy as np
import pytest
from safetensors.numpy import load_file

import tinyencodec
from tests.helpers.paths import GOLDEN
from tinyencodec.ecdc.container import write_ecdc

CASES = sorted(path.name for path in GOLDEN.iterdir() if (path / "expected.safetensors").is_file())
PEAK_ERROR = 1e-4  # of latents and audio, as a fraction of the oracle's peak
SCALE_ERROR = 1e-6  # relative


def load(name: str) -> tuple[tinyencodec.EncodecModel, dict[int, dict[str, np.ndarray]]]:
    """The model of a case, and what is expected of it by length in samples."""
    signals: dict[int, dict[str, np.ndarray]] = {}
    for key, value in load_file(GOLDEN / name / "expected.safetensors").items():
        length, what = key.split(".")
        signals.setdefault(int(length), {})[what] = value
    return tinyencodec.load_model(GOLDEN / name), signals


def stored_frames(signal: dict[str, np.ndarray]) -> list[tinyencodec.EncodedFrame]:
    """The oracle's frames, one per segment."""
    codes = np.split(signal["codes"], np.cumsum(signal["frames"])[:-1], axis=1)
    scales = signal["scales"].tolist() if "scales" in signal else [None] * len(codes)
    return [tinyencodec.EncodedFrame(*pair) for pair in zip(codes, scales)]


def assert_near(ours: np.ndarray, expected: np.ndarray) -> None:
    assert ours.shape == expected.shape and ours.dtype == np.float32
    assert np.abs(ours - expected).max() <= PEAK_ERROR * np.abs(expected).max()


def test_there_are_fixtures():
    assert len(CASES) >= 6


@pytest.mark.parametrize("name", CASES)
def test_latents(name):
    model, signals = load(name)
    for n, signal in signals.items():
        frames = stored_frames(signal)
        latents = []
        for i, frame in enumerate(frames):
            start = i * (model.segment_stride or 0)
            segment = signal["wav"][:, start:start + (model.segment_length or n)]
            if frame.scale is not None:
                segment = segment / np.float32(frame.scale)
            latents.append(model.encoder(np.ascontiguousarray(segment.T)))
        assert_near(np.concatenate(latents), signal["latents"])


@pytest.mark.parametrize("name", CASES)
def test_encode(name):
    model, signals = load(name)
    for signal in signals.values():
        frames = model.encode(signal["wav"], model.bandwidths[-1])
        for frame, expected in zip(frames, stored_frames(signal), strict=True):
            np.testing.assert_array_equal(frame.codes, expected.codes)
            assert (frame.scale is None) == (expected.scale is None)
            assert frame.scale is None or abs(frame.scale - expected.scale) <= SCALE_ERROR * expected.scale


@pytest.mark.parametrize("name", CASES)
def test_fewer_codebooks_are_the_first_ones(name):
    model, signals = load(name)
    for signal in signals.values():
        frames = model.encode(signal["wav"], model.bandwidths[0])
        for frame, expected in zip(frames, stored_frames(signal), strict=True):
            np.testing.assert_array_equal(frame.codes, expected.codes[:len(frame.codes)])


@pytest.mark.parametrize("name", CASES)
def test_decode(name):
    model, signals = load(name)
    for n, signal in signals.items():
        assert_near(model.decode(stored_frames(signal), n), signal["audio"])


@pytest.mark.parametrize("name", CASES)
def test_files_of_the_official_program(name):
    model, signals = load(name)
    for n, signal in signals.items():
        if "ecdc" not in signal:
            continue
        file = signal["ecdc"].tobytes()
        out = io.BytesIO()
        write_ecdc(out, model, stored_frames(signal), n)
        assert out.getvalue() == file
        wav, sample_rate = tinyencodec.decompress(file, model=model)
        assert sample_rate == model.sample_rate
        assert_near(wav, signal["audio"])
        if not model.config.normalize:  # else the scales' last bits may differ
            assert tinyencodec.compress(model, signal["wav"], model.bandwidths[-1]) == file
