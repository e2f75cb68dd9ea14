"""The names of the official package over a tinyencodec model; `parity/test_compat.py` compares with that package."""

import numpy as np
import pytest

import tinyencodec
from tinyencodec.compat import EncodecModel, encodec_model_24khz, encodec_model_48khz


def noise(model, batch, length):
    return np.random.default_rng(length).standard_normal((batch, model.channels, length)).astype(np.float32)


@pytest.mark.parametrize("shape", ["causal", "scaled", "segments", "segments, no norm"])
def test_a_batch_is_its_items(models, shape):
    model = EncodecModel(models[shape])
    assert model.bandwidth is None
    model.set_target_bandwidth(0.8)
    wavs = noise(model, 3, 333)
    frames, alone = model.encode(wavs), [models[shape].encode(wav, 0.8) for wav in wavs]
    assert len(frames) == len(alone[0])
    for s, (codes, scale) in enumerate(frames):
        assert codes.dtype == np.int64
        np.testing.assert_array_equal(codes, np.stack([item[s].codes for item in alone]))
        assert (scale is None) != model.normalize
        if scale is not None:
            assert scale.dtype == np.float32 and scale[:, 0].tolist() == [item[s].scale for item in alone]
    decoded = model.decode(frames)
    np.testing.assert_array_equal(decoded, np.stack([models[shape].decode(item) for item in alone]))
    np.testing.assert_array_equal(model(wavs), decoded[:, :, :333])
    np.testing.assert_array_equal(model.forward(wavs), decoded[:, :, :333])


def test_all_codebooks_unless_told(models):
    model = EncodecModel(models["causal"])
    assert model.encode(noise(model, 1, 40))[0][0].shape == (1, 4, 5)
    with pytest.raises(ValueError, match="offers 0.4, 0.8, 1.6 kbit/s, got 7"):
        model.set_target_bandwidth(7)
    assert model.bandwidth is None


def test_the_bundled_model_by_its_name():
    for load in (encodec_model_24khz, EncodecModel.encodec_model_24khz):
        model = load(tinyencodec.load_model().folder)
        assert (model.sample_rate, model.channels, model.segment, model.segment_length) == (24_000, 1, None, None)
        assert model.target_bandwidths == [*model.model.bandwidths] and model.bits_per_codebook == 10


def test_models_of_another_kind(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"expected 48000 Hz and 2 channel\(s\), got 24000 Hz and 1"):
        encodec_model_48khz(tinyencodec.load_model().folder)
    with pytest.raises(ValueError, match="encodec_24khz"):
        encodec_model_24khz()
    with pytest.raises(ValueError, match="encodec_48khz"):
        encodec_model_48khz()


@pytest.mark.parametrize("shape, wav, message", [
    ("causal", np.zeros((1, 9)), "audio: expected shape [B, 1, T], got [1, 9]"),
    ("causal", np.zeros((2, 2, 9)), "item 0: audio: model causal expects shape [1, T] with T >= 1, got [2, 9]"),
    ("causal", np.zeros((0, 1, 9)), "audio: expected at least one item, got none"),
])
def test_encode_refuses(models, shape, wav, message):
    with pytest.raises(ValueError) as error:
        EncodecModel(models[shape]).encode(wav)
    assert message in str(error.value)


@pytest.mark.parametrize("shape, frames, message", [
    ("causal", [], "frames: expected at least one, got none"),
    ("causal", [(np.zeros((1, 2), int), None)], "codes: expected shape [B, K, F], got [1, 2]"),
    ("causal", [(np.zeros((0, 1, 2), int), None)], "codes: expected shape [B, K, F], got [0, 1, 2]"),
    ("causal", [(np.full((1, 1, 2), 16), None)], "codes: expected 0 ... 15, got [16, 16]"),
    ("segments", [(np.zeros((2, 1, 2), int), None)], "scale: expected a number, got None"),
    ("segments", [(np.zeros((2, 1, 2), int), np.ones(2))], "scale: expected shape [2, 1], got [2]"),
    ("segments", [(np.zeros((2, 1, 20), int), np.ones((2, 1))), (np.zeros((1, 1, 2), int), np.ones((1, 1)))],
     "codes: expected shape [2, K, F], got [1, 1, 2]"),
])
def test_decode_refuses(models, shape, frames, message):
    with pytest.raises(ValueError) as error:
        EncodecModel(models[shape]).decode(frames)
    assert message in str(error.value)
