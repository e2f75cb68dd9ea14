"""Whole models against the oracles: latents, audio, codes and scales, at awkward lengths and all rates."""

import itertools

import numpy as np
import pytest

from .compare import AUDIO_ERROR, LATENT_ERROR, SCALE_ERROR, CodeCount, compare_codes, peak_error
from .models import CONFIGS, FULL_PAIRS, PAIRS, latents_of, oracle, oracle_can, ours, segment_bounds, signal
from .report import LINES


def lengths_for(config) -> list[int]:
    """1 sample; one below, at and above each stride product; 53 760; 10.37 s; and around the segments' borders."""
    borders = set(itertools.accumulate(reversed(config.upsampling_ratios), lambda a, b: a * b))
    lengths = {1, 53_760, round(10.37 * config.sampling_rate)}
    if config.segment_length is not None:
        borders |= {config.segment_stride, config.segment_length}
        lengths.add(2 * config.segment_stride + config.hop_length // 3)  # the last two segments are short
    return sorted(lengths | {n + d for n in borders for d in (-1, 0, 1) if n + d > 0})


def compare_frames(reference, model, wav: np.ndarray, bandwidth: float) -> tuple[list, CodeCount, float]:
    """Compare scales, latents and codes of all segments. The oracle's frames, the counts, the largest latent error."""
    theirs, z_theirs = reference.encode(wav, bandwidth)
    mine = model.encode(wav, bandwidth)
    assert len(mine) == len(theirs) == len(segment_bounds(model.config, wav.shape[1]))
    total, worst = CodeCount(), 0.0
    for frame, z, (codes, scale), z_reference in zip(mine, latents_of(model, wav, mine), theirs, z_theirs):
        assert (frame.scale is None) == (scale is None)
        assert scale is None or abs(frame.scale - scale) <= SCALE_ERROR * scale
        error = peak_error(z, z_reference)
        assert error <= LATENT_ERROR, f"latents of {wav.shape[1]} samples: error {error:.2e} of the peak"
        total += compare_codes(frame.codes, codes, z, z_reference, reference.embeds())
        worst = max(worst, error)
    return theirs, total, worst


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_every_length(kind, name):
    reference, model = oracle(kind, name), ours(kind, name)
    bandwidth = model.bandwidths[-1]
    total, worst_latent, worst_audio = CodeCount(), 0.0, 0.0
    lengths = [n for n in lengths_for(model.config) if oracle_can(kind, model.config, n)]
    for n in lengths:
        wav = signal(model.config, n)
        theirs, count, latent_error = compare_frames(reference, model, wav, bandwidth)
        # Both decode the oracle's codes: a code that flipped at a tie would rightly sound different.
        error = peak_error(model.decode(theirs), reference.decode(theirs))
        assert error <= AUDIO_ERROR, f"audio of {n} samples: error {error:.2e} of the peak"
        total, worst_latent, worst_audio = total + count, max(worst_latent, latent_error), max(worst_audio, error)
    assert total.tied <= 0.001 * total.codes and total.excused <= 0.005 * total.codes, total
    LINES.append(f"{kind:12s} {name:13s} {len(lengths)} lengths: latents {worst_latent:.1e}, audio {worst_audio:.1e} "
                 f"of the peak; {total.codes} codes, {total.tied} tied, {total.flipped} flipped there, "
                 f"{total.excused} excused after that")


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_every_bandwidth(kind, name):
    reference, model = oracle(kind, name), ours(kind, name)
    wav = signal(model.config, 3 * (model.segment_length or 0) // 2 + model.sample_rate // 2 + 1)
    for bandwidth in model.bandwidths:
        theirs, _, _ = compare_frames(reference, model, wav, bandwidth)
        assert peak_error(model.decode(theirs), reference.decode(theirs)) <= AUDIO_ERROR


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_codes_of_a_search_decode_alike(kind, name):
    """Other codes than the oracle's own, and nothing that its decoder could notice."""
    reference, model = oracle(kind, name), ours(kind, name)
    wav, bandwidth = signal(model.config, 3 * (model.segment_length or 40_000) // 2), model.bandwidths[-1]
    frames = model.encode(wav, bandwidth, search=8)
    theirs, _ = reference.encode(wav, bandwidth)
    assert any((codes != other).any() for (codes, _), (other, _) in zip(frames, theirs, strict=True))
    assert peak_error(model.decode(frames), reference.decode(frames)) <= AUDIO_ERROR


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_codes_follow_the_audio(kind, name):
    """All the rest would be worth little if the seeded weights gave nearly the same codes for any audio."""
    model = ours(kind, name)
    codes = np.concatenate([f.codes for f in model.encode(signal(model.config, 10 * model.sample_rate),
                                                          model.bandwidths[-1])], axis=1)
    used = [len(np.unique(row)) for row in codes]
    expected = 200 if (kind, name) in FULL_PAIRS else model.config.codebook_size // 2
    assert min(used) >= expected, used
    assert np.mean(codes[:, 1:] != codes[:, :-1]) > 0.5  # from one frame to the next
    LINES.append(f"{kind:12s} {name:13s} entries used in 10 s, of {model.config.codebook_size}: "
                 f"{', '.join(map(str, used[:4]))} ... {used[-1]}")


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_silence_and_extremes(kind, name):
    """A silent, a very soft and a very loud signal, the scale of a silent one included."""
    reference, model = oracle(kind, name), ours(kind, name)
    n = model.segment_length or 3 * model.hop_length + 1
    for gain in (0.0, 1e-6, 50.0):
        wav = np.float32(gain) * signal(model.config, n)
        compare_frames(reference, model, wav, model.bandwidths[-1])


@pytest.mark.parametrize("name", [name for kind, name in PAIRS if kind == "encodec" and CONFIGS[name].overlap])
def test_lengths_that_the_oracles_fail_at(name):
    """The last segment can end, in whole frames, before the one before it does.

    That happens when it is shorter than the overlap. The official decoder then adds arrays of
    different lengths and stops with an error (and `transformers` cannot stack the codes of two short
    segments). The same sum without that limit is well defined; here it is written out.
    """
    reference, model = oracle("encodec", name), ours("encodec", name)
    config = model.config
    lengths = [n for n in range(config.segment_stride + 1, config.segment_stride + config.segment_length)
               if not oracle_can("encodec", config, n)]
    for n in (lengths[0], lengths[len(lengths) // 2], lengths[-1]):
        wav = signal(config, n)
        theirs, _, _ = compare_frames(reference, model, wav, model.bandwidths[-1])
        with pytest.raises(RuntimeError):
            reference.decode(theirs)
        parts = [reference.audio(model.quantizer.decode(codes)) * np.float32(scale) for codes, scale in theirs]
        size = parts[0].shape[1]
        triangle = 0.5 - np.abs(np.arange(1, size + 1) / (size + 1) - 0.5)
        mixed, weights = np.zeros((config.audio_channels, 2 * size)), np.zeros(2 * size)
        for i, part in enumerate(parts):
            here = slice(i * config.segment_stride, i * config.segment_stride + part.shape[1])
            mixed[:, here] += triangle[:part.shape[1]] * part
            weights[here] += triangle[:part.shape[1]]
        expected = mixed[:, :n] / weights[:n]
        assert peak_error(model.decode(theirs, n), expected) <= AUDIO_ERROR
