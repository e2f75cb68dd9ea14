"""Files: the same bytes as the official program's, and each side decodes what the other wrote."""

import io
import math

import numpy as np
import pytest
import torch

import tinyencodec
from tinyencodec.ecdc.container import write_ecdc

from .compare import AUDIO_ERROR, SCALE_ERROR, compare_codes, peak_error
from .models import CONFIGS, SMALL, latents_of, oracle, oracle_can, ours, segment_bounds, signal
from .oracles import official_ecdc

LENGTHS = {
    "encodec_24khz": [1, 2, 319, 321, 24_000, 31_337],
    "encodec_48khz": [1, 319, 47_521, 48_000, 48_001, 95_040 + 100],  # 2, 1, 2 and 3 segments, some very short
    **{name: [1, config.hop_length + 1, 4_321, config.sampling_rate] for name, config in SMALL.items()},
}
FILES = [(name, n) for name, lengths in LENGTHS.items() for n in lengths if oracle_can("encodec", CONFIGS[name], n)]


def official_frames(config, n_samples: int) -> int:
    """Frames that the official reader expects of a segment; it multiplies in floating point."""
    return math.ceil(n_samples / config.sampling_rate * config.frame_rate)


def official_reads(config, n_samples: int) -> bool:
    """Whether that is what a segment of this many samples has."""
    return all(official_frames(config, n) == -(-n // config.hop_length) for _, n in segment_bounds(config, n_samples))


@pytest.fixture(autouse=True)
def _official_program_knows_the_seeded_models(monkeypatch):
    for name in LENGTHS:
        monkeypatch.setitem(official_ecdc.MODELS, name, lambda name=name: oracle("encodec", name).model)


def official_compress(name: str, wav: np.ndarray, bandwidth: float) -> bytes:
    model = oracle("encodec", name).model
    model.set_target_bandwidth(bandwidth)
    return official_ecdc.compress(model, torch.from_numpy(wav))


def official_decompress(data: bytes) -> np.ndarray:
    return official_ecdc.decompress(data)[0].numpy()


def blank_scales(data: bytes, config, n_samples: int, n_codebooks: int) -> tuple[bytes, list[float]]:
    """The file with zeros for the scales, and the scales."""
    if not config.normalize:
        return data, []
    blanked, scales = bytearray(data), []
    at = 9 + int.from_bytes(data[5:9], "big")
    for _, n in segment_bounds(config, n_samples):
        scales.append(float(np.frombuffer(data, ">f4", 1, at)[0]))
        blanked[at:at + 4] = bytes(4)
        at += 4 + -(-(-(-n // config.hop_length) * n_codebooks * config.bits_per_code) // 8)
    assert at == len(data)
    return bytes(blanked), scales


@pytest.mark.parametrize("bandwidth", ["lowest", "highest"])
@pytest.mark.parametrize(("name", "n_samples"), FILES)
def test_files_are_the_same_and_each_reads_the_other(name, n_samples, bandwidth):
    reference, model = oracle("encodec", name), ours("encodec", name)
    config, wav = model.config, signal(model.config, n_samples)
    bandwidth = model.bandwidths[0 if bandwidth == "lowest" else -1]
    theirs = official_compress(name, wav, bandwidth)
    mine = tinyencodec.compress(model, wav, bandwidth)

    # The container, given the same codes and scales: every byte.
    frames, z_theirs = reference.encode(wav, bandwidth)
    out = io.BytesIO()
    write_ecdc(out, model, frames, n_samples)
    assert out.getvalue() == theirs

    # From the audio: every byte too, but that a scale may be rounded in another way. Should a code
    # have flipped at a tie on this machine, it is shown to be one instead.
    my_frames = model.encode(wav, bandwidth)
    if all(np.array_equal(f.codes, codes) for f, (codes, _) in zip(my_frames, frames)):
        my_bytes, my_scales = blank_scales(mine, config, n_samples, len(my_frames[0].codes))
        their_bytes, their_scales = blank_scales(theirs, config, n_samples, len(my_frames[0].codes))
        assert my_bytes == their_bytes
        np.testing.assert_allclose(my_scales, their_scales, rtol=SCALE_ERROR)
    else:
        for f, (codes, _), z, z_reference in zip(my_frames, frames, latents_of(model, wav, my_frames), z_theirs):
            compare_codes(f.codes, codes, z, z_reference, reference.embeds())

    # Each file read by both.
    for data in (mine, theirs):
        decoded, sample_rate = tinyencodec.decompress(data, model=model)
        assert sample_rate == config.sampling_rate and decoded.shape == wav.shape
        if official_reads(config, n_samples):
            assert peak_error(decoded, official_decompress(data)) <= AUDIO_ERROR


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
def test_the_official_program_reads_what_was_searched(name):
    """Other codes than its own, and less error: nothing that a decoder could notice."""
    model = ours("encodec", name)
    wav = signal(model.config, 50_000)
    data = tinyencodec.compress(model, wav, 6.0, search=8)
    assert data != tinyencodec.compress(model, wav, 6.0) and len(data) == len(tinyencodec.compress(model, wav, 6.0))
    decoded, _ = tinyencodec.decompress(data, model=model)
    assert peak_error(decoded, official_decompress(data)) <= AUDIO_ERROR


def test_lengths_that_the_official_reader_fails_at():
    """The official reader asks for a frame too many and stops; here both programs' files are read."""
    reference, model = oracle("encodec", "encodec_24khz"), ours("encodec", "encodec_24khz")
    failing = [n for n in range(1, 60_000) if not official_reads(model.config, n)]
    assert 53_760 in failing
    assert all(n % model.hop_length == 0 for n in failing)  # only there can a product round up past an integer
    for n_samples in (failing[0], 53_760, failing[-1]):
        wav = signal(model.config, n_samples)
        theirs = official_compress("encodec_24khz", wav, 6.0)
        with pytest.raises(EOFError):
            official_decompress(theirs)
        frames, _ = reference.encode(wav, 6.0)
        expected = reference.decode(frames)[:, :n_samples]
        for data in (theirs, tinyencodec.compress(model, wav, 6.0)):
            decoded, _ = tinyencodec.decompress(data, model=model)
            assert peak_error(decoded, expected) <= AUDIO_ERROR


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
def test_every_bandwidth(name):
    reference, model = oracle("encodec", name), ours("encodec", name)
    wav = signal(model.config, 5_000)
    for bandwidth in model.bandwidths:
        theirs = official_compress(name, wav, bandwidth)
        frames, _ = reference.encode(wav, bandwidth)
        out = io.BytesIO()
        write_ecdc(out, model, frames, wav.shape[1])
        assert out.getvalue() == theirs
        decoded, _ = tinyencodec.decompress(theirs, model=model)
        assert peak_error(decoded, official_decompress(theirs)) <= AUDIO_ERROR
