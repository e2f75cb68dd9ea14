"""Batches: each item is coded as if it were alone, whatever it comes in and whatever it is padded with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyencodec
from tests.helpers.signals import noise
from tinyencodec.tools.many_signals import decode_batch, encode_batch

SHAPES = ["causal", "no shortcut", "scaled", "segments", "segments, no norm"]


class Tensor:
    """What NumPy knows of a tensor of another library."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def padded(wavs, value):
    whole = np.full((len(wavs), wavs[0].shape[0], max(wav.shape[1] for wav in wavs)), value, np.float32)
    for row, wav in zip(whole, wavs):
        row[:, :wav.shape[1]] = wav
    return whole


def check_against_alone(model, batch, wavs, bandwidth):
    n_codebooks = model.codebooks_for(bandwidth)
    assert batch.codes.dtype == batch.frames.dtype == batch.lengths.dtype == np.int64
    assert batch.codes.shape == (len(wavs), n_codebooks, batch.frames.max())
    assert batch.lengths.tolist() == [wav.shape[1] for wav in wavs]
    assert (batch.scales is None) != model.config.normalize
    for i, wav in enumerate(wavs):
        frames = model.encode(wav, bandwidth)
        codes = np.concatenate([frame.codes for frame in frames], axis=1)
        np.testing.assert_array_equal(batch.codes[i, :, :batch.frames[i]], codes)
        assert not batch.codes[i, :, batch.frames[i]:].any()
        if batch.scales is not None:
            assert batch.scales.dtype == np.float32
            np.testing.assert_array_equal(batch.scales[i, :len(frames)], np.float32([f.scale for f in frames]))
            assert not batch.scales[i, len(frames):].any()


@given(st.sampled_from(SHAPES), st.lists(st.integers(1, 400), min_size=1, max_size=5), st.data())
def test_an_item_is_coded_as_if_alone(models, shape, lengths, data):
    model = models[shape]
    bandwidth = data.draw(st.sampled_from(model.bandwidths))
    wavs = [noise(model, n, seed) for seed, n in enumerate(lengths)]
    from_list = encode_batch(model, wavs, bandwidth)
    check_against_alone(model, from_list, wavs, bandwidth)
    value = data.draw(st.sampled_from([0.0, 1e3, float("nan")]))  # padding is never looked at
    from_array = encode_batch(model, padded(wavs, value), bandwidth, lengths)
    for one, other in zip(from_list, from_array):
        np.testing.assert_array_equal(one, other)
    decoded = decode_batch(model, *from_list)
    assert decoded.dtype == np.float32 and decoded.shape == (len(wavs), model.channels, max(lengths))
    for wav, n, source in zip(decoded, lengths, wavs):
        np.testing.assert_array_equal(wav[:, :n], model.decode(model.encode(source, bandwidth), n))
        assert not wav[:, n:].any()


def test_search(models):
    """Of each item, as if it were alone; another search finds other codes."""
    model = models["causal"]
    wavs = [noise(model, length, length) for length in (200, 90)]
    batch = encode_batch(model, wavs, 1.6, search=5)
    for codes, frames, wav in zip(batch.codes, batch.frames, wavs):
        np.testing.assert_array_equal(codes[:, :frames], model.encode(wav, 1.6, search=5)[0].codes)
    assert (batch.codes != encode_batch(model, wavs, 1.6).codes).any()


@pytest.mark.parametrize("shape", ["causal", "segments"])
def test_the_number_of_threads_does_not_matter(models, shape, monkeypatch):
    model = models[shape]
    wavs = [noise(model, n, n) for n in (900, 1, 333, 12, 700)]
    batches, sounds = [], []
    for threads in (1, 2, 3, 16):
        monkeypatch.setattr(model, "threads", threads)
        batches.append(encode_batch(model, wavs, 1.6))
        sounds.append(decode_batch(model, *batches[-1]))
        assert model.threads == threads
    for batch, sound in zip(batches, sounds):
        np.testing.assert_array_equal(batch.codes, batches[0].codes)
        np.testing.assert_array_equal(sound, sounds[0])


def test_whatever_it_comes_in(models):
    model = models["causal"]
    wavs = np.stack([noise(model, 50, seed) for seed in range(3)])  # [3, 1, 50]
    expected = encode_batch(model, wavs, 0.8).codes
    for same in (Tensor(wavs), list(wavs), tuple(wavs), [wav[0] for wav in wavs], [Tensor(wav) for wav in wavs],
                 wavs.astype(np.float64), np.asfortranarray(wavs), [wavs[0].tolist(), wavs[1], Tensor(wavs[2][0])]):
        np.testing.assert_array_equal(encode_batch(model, same, 0.8).codes, expected)
    for one in (wavs[0], wavs[0, 0], Tensor(wavs[0, 0]), wavs[:1]):
        np.testing.assert_array_equal(encode_batch(model, one, 0.8).codes, expected[:1])
    stereo = models["segments"]
    wav = noise(stereo, 60)
    np.testing.assert_array_equal(encode_batch(stereo, wav, 0.8).codes, encode_batch(stereo, wav[None], 0.8).codes)
    batch = encode_batch(model, wavs, 0.8)
    np.testing.assert_array_equal(decode_batch(model, Tensor(batch.codes), None, Tensor(batch.frames), [50] * 3),
                                  decode_batch(model, *batch))


def test_codes_alone_give_whole_frames(models):
    model = models["causal"]
    batch = encode_batch(model, [noise(model, 33), noise(model, 17)], 1.6)
    assert batch.frames.tolist() == [5, 3]
    assert decode_batch(model, batch.codes).shape == (2, 1, 40)
    sound = decode_batch(model, batch.codes[:, :2], frames=batch.frames)  # the first two codebooks
    np.testing.assert_array_equal(sound[1, :, :24], decode_batch(model, batch.codes[1:, :2, :3])[0])


def test_public_names():
    assert tinyencodec.encode_batch is encode_batch and tinyencodec.decode_batch is decode_batch


MONO, STEREO = np.zeros((1, 9), np.float32), np.zeros((2, 9), np.float32)


@pytest.mark.parametrize("shape, wavs, lengths, message", [
    ("causal", [], None, "audio: expected at least one item, got none"),
    ("causal", np.zeros((0, 1, 9), np.float32), None, "audio: expected at least one item, got none"),
    ("causal", STEREO, None, "item 0: audio: model causal expects shape [1, T] with T >= 1, got [2, 9]"),
    ("causal", [MONO, STEREO], None, "item 1: audio: model causal expects shape [1, T] with T >= 1, got [2, 9]"),
    ("causal", np.zeros((3, 2, 9), np.float32), None, "item 0: audio: model causal expects shape [1, T] with T >= 1"),
    ("segments", MONO[0], None, "item 0: audio: model segments expects shape [2, T] with T >= 1, got [9]"),
    ("segments", [STEREO, MONO], None, "item 1: audio: model segments expects shape [2, T] with T >= 1, got [1, 9]"),
    ("causal", np.zeros((1, 1, 1, 9), np.float32), None, "got [1, 1, 1, 9]"),
    ("causal", [0.5, 0.25], None, "item 0: audio: model causal expects shape [1, T] with T >= 1, got []"),
    ("causal", [MONO, MONO.astype(np.int16)], None, "item 1: audio: expected floating-point samples, got int16"),
    ("causal", [MONO, MONO + np.nan], None, "item 1: audio: expected finite samples"),
    ("causal", [MONO, MONO[:, :0]], None, "item 1: audio: model causal expects shape [1, T] with T >= 1, got [1, 0]"),
    ("causal", [MONO, [[1.0], [1.0, 2.0]]], None, "item 1: audio: expected an array, got what NumPy cannot make one"),
    ("causal", [MONO], [1, 2], "lengths: expected 1 integers, got int64 [2]"),
    ("causal", [MONO], [1.5], "lengths: expected 1 integers, got float64 [1]"),
    ("causal", [MONO, MONO], [1, 10], "item 1: lengths: expected an integer from 1 to 9, got 10"),
    ("causal", [MONO, MONO], [1, 0], "item 1: lengths: expected an integer from 1 to 9, got 0"),
    ("causal", [MONO, 0.5], [1, 1], "item 1: audio: model causal expects shape"),
])
def test_encode_refuses(models, shape, wavs, lengths, message):
    with pytest.raises(ValueError) as error:
        encode_batch(models[shape], wavs, 0.8, lengths)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_encode_refuses_a_bandwidth(models):
    with pytest.raises(ValueError, match="offers 0.4, 0.8, 1.6 kbit/s, got 6"):
        encode_batch(models["causal"], MONO)


ZEROS = np.zeros((2, 1, 3), int)


@pytest.mark.parametrize("shape, arguments, message", [
    ("causal", [ZEROS[0]], "codes: expected shape [B, K, F] with B >= 1, got [1, 3]"),
    ("causal", [ZEROS[:0]], "codes: expected shape [B, K, F] with B >= 1, got [0, 1, 3]"),
    ("causal", [ZEROS * 1.0], "item 0: codes: expected integers, got dtype('float64')"),
    ("causal", [np.array([[[1]], [[16]]])], "item 1: codes: expected 0 ... 15, got [16, 16]"),
    ("causal", [ZEROS, None, [3, 4]], "item 1: frames: expected an integer from 1 to 3, got 4"),
    ("causal", [ZEROS, None, [3]], "frames: expected 2 integers, got int64 [1]"),
    ("causal", [ZEROS, None, [3, 1], [24, 9]], "item 1: decode: expected a length from 0 to 8 samples, got 9"),
    ("causal", [ZEROS, None, None, [24, 0]], "item 1: lengths: expected an integer from 1, got 0"),
    ("causal", [ZEROS, np.ones((2, 1))], "scales: expected None, since the model does not normalise, got some"),
    ("segments", [ZEROS], "scales: expected shape [2, S], got [0, 0]"),
    ("segments", [ZEROS, np.ones(2)], "scales: expected shape [2, S], got [2]"),
    ("segments", [ZEROS, np.ones((2, 0))], "item 0: scales: expected one for each of 1 segments, got 0"),
    ("segments", [ZEROS, np.array([[1], [-1]])], "item 1: scale: expected a finite number of at least 0, got -1.0"),
])
def test_decode_refuses(models, shape, arguments, message):
    with pytest.raises(ValueError) as error:
        decode_batch(models[shape], *arguments)
    assert message in str(error.value) and "\n" not in str(error.value)
