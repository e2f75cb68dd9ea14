"""Losses against their definitions, and the balancer's shares."""

import math

import numpy as np
import pytest
import torch

from tinyencodec.train import losses
from tinyencodec.train.balancer import Balancer
from tinyencodec.train.discriminator import WINDOWS, Discriminator
from tinyencodec.train.envelope import Envelopes, envelope_loss, third_octaves
from tinyencodec.train.fine import FineScales
from tinyencodec.train.loudness import Loudness, bark, level, loudness_loss, threshold
from tinyencodec.train.mel import BANDS, BandLevels, LogMel, MelScales, mel_filters, stft


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("window", [32, 256, 2048])
@pytest.mark.parametrize("length", [24_000, 5000])
def test_stft_is_that_of_torch(window, length):
    x, hann = noise(2, 1, length), torch.hann_window(window)
    expected = torch.stft(x[:, 0], window, window // 4, window=hann, return_complex=True).transpose(1, 2) / hann.sum()
    inside = length // (window // 4) - 3  # frames that the padding on the right does not touch
    assert (stft(x, hann)[:, :inside] - expected[:, :inside]).abs().max() < 1e-6


def test_stft_of_a_short_signal():
    assert stft(noise(1, 1, 100), torch.hann_window(2048)).isfinite().all()


def test_mel_bands():
    filters = mel_filters(24_000, 2048)
    assert filters.shape == (1025, BANDS) and filters.min() == 0 and filters.max() <= 1
    peaks = filters.argmax(dim=0) * 24_000 / 2048  # Hz
    mel = 2595 * torch.log10(1 + peaks / 700)
    steps = mel.diff()
    assert (steps > 0).all() and abs(float(steps[20:].mean()) - 2595 * math.log10(1 + 12_000 / 700) / 65) < 0.3
    # A sine excites the bands around its frequency.
    t = torch.arange(24_000) / 24_000
    bands = LogMel(24_000, 2048)(torch.sin(2 * math.pi * 3000 * t)[None, None])[0].mean(dim=0)
    assert abs(float(peaks[bands.argmax()]) - 3000) < 150


def test_time_losses():
    x = noise(3, 1, 1000)
    assert losses.l1_time(x, x + 0.5).item() == pytest.approx(0.5)
    assert losses.relative_squared_error(x, x).item() == 0
    assert losses.relative_squared_error(x, 0 * x).item() == pytest.approx(1 / 1.1, rel=0.02)
    soft = x * torch.tensor([1.0, 1.0, 1e-6])[:, None, None]  # a soft clip may not rule the batch
    assert losses.relative_squared_error(soft, soft + 0.1 * x).item() < 0.1


def test_emphasis_flattens_a_falling_spectrum():
    """A random walk, whose spectrum falls by 6 dB an octave, becomes white; nothing is done at 0."""
    walk = noise(2, 1, 24_000).cumsum(dim=2)
    assert losses.emphasise(walk, 0.0) is walk
    assert torch.allclose(losses.emphasise(walk, 1.0), noise(2, 1, 24_000), atol=1e-3)
    assert losses.emphasise(torch.ones(1, 1, 5), 0.9)[0, 0].tolist() == pytest.approx([1, 0.1, 0.1, 0.1, 0.1])


def test_si_snr():
    x, n = noise(1, 24_000), noise(1, 24_000, seed=1)
    assert losses.si_snr(x, x + 0.1 * n).item() == pytest.approx(20, abs=0.2)
    assert losses.si_snr(x, 3 * (x + 0.1 * n) + 0.7).item() == pytest.approx(20, abs=0.2)


def test_mel_losses_see_loudness():
    x, mel = noise(2, 1, 12_000), MelScales(24_000)
    assert losses.mel_distance(mel(x), mel(x)).item() == 0
    # A tenth as loud: one power of ten, but for the floor and the bands that are empty.
    scale = mel.scales[-1:]
    assert losses.mel_distance([s(x) for s in scale], [s(0.1 * x) for s in scale]).item() == pytest.approx(1, abs=0.15)
    assert losses.mel_loss(mel(x), mel(0.1 * x)) > losses.mel_loss(mel(x), mel(0.5 * x)) > 0.5


def test_fine_loss_hears_a_comb_that_mel_bands_hardly_do():
    """Noise against other noise: the power between 1.2 and 6 kHz gathered in lines 75 Hz apart, bands as loud."""
    x, y = noise(1, 1, 48_000), noise(1, 1, 48_000, seed=1)
    frequencies = torch.fft.rfftfreq(48_000, 1 / 24_000)
    inside = (frequencies > 1162) & (frequencies < 6037)
    line = ((frequencies + 37.5) % 75 - 37.5).abs() < 1
    gain = torch.where(inside, torch.where(line, math.sqrt((75 - 0.1**2 * 72) / 3), 0.1), 1.0)
    comb = torch.fft.irfft(torch.fft.rfft(y) * gain)
    rise = [losses.mel_loss(scales(x), scales(comb)) / losses.mel_loss(scales(x), scales(y))
            for scales in (MelScales(24_000), FineScales())]
    assert rise[0] < 1.2 and rise[1] > 1.35


def test_level_loss_counts_what_stays_and_not_what_comes_and_goes():
    """Softer noise costs what that is in logarithms; noise whose level swings about the right one costs little."""
    x, levels = noise(2, 1, 24_000), BandLevels()
    swing = 1.5 ** torch.where(torch.arange(24_000) // 600 % 2 == 0, 1.0, -1.0)
    assert levels(x).shape == (2, 24_000 // 256 + 2, 32)
    right, softer, swinging = (levels(wav) for wav in (x, x / 1.5, x * swing))
    assert losses.level_loss(right, right) == 0
    assert losses.level_loss(right, softer).item() == pytest.approx(math.log(1.5), abs=0.01)
    assert losses.level_loss(right, swinging) < math.log(1.5) / 4


def test_level_loss_hears_soft_treble_that_mel_bands_hardly_do():
    x, low = 3e-3 * noise(1, 1, 48_000), 0.1
    spectrum = torch.fft.rfft(x)
    treble = torch.fft.rfftfreq(48_000, 1 / 24_000) > 8000
    softer = torch.fft.irfft(torch.where(treble, low * spectrum, spectrum))
    share = (treble.sum() / len(treble)).item()
    levels, mel = BandLevels(), MelScales(24_000)
    assert losses.level_loss(levels(x), levels(softer)).item() > 0.9 * share * -math.log(low)
    assert losses.mel_distance(mel(x), mel(softer)).item() < 0.5 * share


def test_scales_by_number():
    """Some of the resolutions are those of all."""
    x = noise(2, 1, 5000)
    for scales in (MelScales(24_000), FineScales()):
        every = scales(x)
        some = scales(x, [0, 2])
        assert len(some) == 2 and torch.equal(some[0], every[0]) and torch.equal(some[1], every[2])


def test_gradient_of_silence_is_finite():
    y = torch.zeros(1, 1, 4000, requires_grad=True)
    mel = MelScales(24_000)
    (losses.mel_loss(mel(noise(1, 1, 4000)), mel(y)) + losses.relative_squared_error(noise(1, 1, 4000), y)).backward()
    assert y.grad.isfinite().all() and y.grad.abs().max() > 0


def test_adversarial_losses():
    good, bad = [torch.full((2, 1, 3, 4), 1.5)], [torch.full((2, 1, 3, 4), -1.5)]
    assert losses.hinge_real_fake(good, bad).item() == 0
    assert losses.hinge_real_fake(bad, good).item() == 5
    assert losses.hinge_generator(good).item() == 0
    assert losses.hinge_generator(bad).item() == 2.5
    real = [[torch.full((2, 3), 2.0), torch.full((4,), 10.0)]]
    fake = [[torch.full((2, 3), 1.0), torch.full((4,), 10.0)]]
    assert losses.feature_matching(real, fake).item() == pytest.approx(0.25)  # mean of 0.5 and 0


@pytest.mark.parametrize("channels", [1, 2])
def test_discriminator(channels):
    torch.manual_seed(0)
    discriminator, x = Discriminator(channels, filters=4), noise(2, channels, 6000)
    scores, features = discriminator(x)
    assert len(scores) == len(features) == len(WINDOWS) == 5
    for window, score, layers in zip(WINDOWS, scores, features):
        assert score.shape[:2] == (2, 1) and len(layers) == 5
        bins = window // 2 + 1
        assert [layer.shape[3] for layer in layers] == [-(-bins // n) for n in (1, 2, 4, 8, 8)]
        assert all(layer.shape[2] == score.shape[2] for layer in layers)
    # At the start nothing but the signal counts, and no layer loses it.
    softer = discriminator(0.01 * x)[1]
    for loud, soft in zip(features, softer):
        assert all(torch.allclose(0.01 * a, b, rtol=1e-3, atol=1e-6) for a, b in zip(loud, soft))
        assert all(0.2 < layer.square().mean().sqrt() / loud[0].square().mean().sqrt() < 5 for layer in loud)
    # It can learn to tell two kinds of signal apart.
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.9))
    for step in range(20):
        real, fake = noise(4, channels, 2048, seed=2 * step).cumsum(2) / 30, noise(4, channels, 2048, seed=2 * step + 1)
        loss = losses.hinge_real_fake(discriminator(real)[0], discriminator(fake)[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1


class TestBalancer:
    def test_shares_come_out_as_asked(self):
        """Losses of wildly different scales give gradients whose lengths are in the ratio of the weights."""
        targets = {name: noise(4, 1, 3000, seed=seed) for seed, name in enumerate(("a", "b", "c"))}
        scales, weights = {"a": 1e-4, "b": 1.0, "c": 1e5}, {"a": 1.0, "b": 2.0, "c": 5.0}
        balancer = Balancer()
        for step in range(20):
            y = noise(4, 1, 3000, seed=100 + step).requires_grad_()
            balancer_losses = {name: scales[name] * (y - target).abs().pow(1.5).mean()
                               for name, target in targets.items()}
            shares = {}
            for name in targets:  # one loss alone, by a balancer in the same state, tells its part
                probe = Balancer()
                probe.load_state_dict(balancer.state_dict())
                others = {other: (weights[other] if other == name else 0.0) for other in weights}
                part = probe.gradient(balancer_losses, others, y) * weights[name] / 8.0
                shares[name] = part.flatten(1).norm(dim=1).mean().item()
            total = balancer.gradient(balancer_losses, weights, y)
        for name, weight in weights.items():
            assert shares[name] == pytest.approx(weight / 8, rel=0.05)
        # The three are nearly independent, so that their squares add up.
        assert total.flatten(1).norm(dim=1).mean().item() == pytest.approx(math.sqrt(1 + 4 + 25) / 8, rel=0.3)

    def test_equals_the_gradient_of_a_single_loss(self):
        y = noise(2, 1, 500).requires_grad_()
        loss = y.square().sum()
        gradient = Balancer().gradient({"a": loss}, {"a": 3.0}, y)
        expected = 2 * y.detach() / (2 * y.detach()).flatten(1).norm(dim=1).mean()
        assert torch.allclose(gradient, expected)

    def test_average_has_the_stated_decay(self):
        balancer, lengths = Balancer(decay=0.9), [1.0, 3.0, 10.0]
        for length in lengths:
            y = torch.zeros(1, 1, 1, requires_grad=True)
            balancer.gradient({"a": length * y.sum()}, {"a": 1.0}, y)
        ages = np.array([0.81, 0.9, 1.0])
        assert (balancer.norms["a"][0] / balancer.norms["a"][1]).item() == pytest.approx(
            (ages * lengths).sum() / ages.sum())

    def test_weight_zero_takes_no_part(self):
        y = noise(1, 1, 10).requires_grad_()
        balancer = Balancer()
        alone = balancer.gradient({"a": y.sum()}, {"a": 1.0}, y)
        both = Balancer().gradient({"a": y.sum(), "b": y.square().sum()}, {"a": 1.0, "b": 0.0}, y)
        assert torch.equal(alone, both)


def test_third_octaves():
    """From 134 Hz to 4.28 kHz without gap or overlap."""
    bands = third_octaves(24_000, 2400)  # 10 Hz apart
    assert bands.shape == (1201, 15) and bands.sum(dim=1).max() == 1
    used = torch.nonzero(bands.sum(dim=1))[:, 0] * 10
    assert used[0] == 140 and used[-1] == 4270 and len(used) == (4270 - 140) // 10 + 1
    assert third_octaves(4000, 400).shape[1] == 11  # what is above half the sample rate is left out


def test_envelope_loss():
    """Blind to the level and the fine structure; more noise, less correlation; and close to STOI's own figures."""
    rise = torch.sin(torch.arange(48_000) * 2 * math.pi * 4 / 24_000)  # four times a second
    envelopes = Envelopes(24_000)
    x, other = ((1.1 + rise) * 0.1 * noise(1, 1, 48_000, seed=seed) for seed in (1, 2))
    same = [float(envelope_loss(envelopes(x), envelopes(y))) for y in (x, 0.1 * x, -x)]
    assert max(same) < 0.01
    assert float(envelope_loss(envelopes(x), envelopes(other))) < 0.65  # the same rise and fall, other noise
    assert float(envelope_loss(envelopes(x), envelopes(0.1 * noise(1, 1, 48_000, seed=3)))) > 0.9
    losses_ = [float(envelope_loss(envelopes(x), envelopes(x + level * other.flip(2)))) for level in (0.1, 0.3, 1.0)]
    assert losses_ == sorted(losses_)


def test_envelope_loss_of_silence_and_of_short_clips():
    envelopes = Envelopes(24_000)
    silence = torch.zeros(2, 1, 6000, requires_grad=True)
    loss = envelope_loss(envelopes(noise(2, 1, 6000)), envelopes(silence))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1, abs=1e-3)
    assert silence.grad.isfinite().all()
    assert envelope_loss(envelopes(noise(1, 1, 100)), envelopes(noise(1, 1, 100))).isfinite()


def test_loudness_of_tones():
    """A tone is loudest in its own band; 10 dB more, about 10^0.23 as loud; what cannot be heard has no loudness."""
    loudness = Loudness(24_000)
    assert (loudness.bands.sum(dim=1) <= 1).all() and (loudness.bands.sum(dim=0) > 0).all()
    tone = torch.sin(torch.arange(24_000) * 2 * math.pi * 1000 / 24_000)[None, None]
    power = level(loudness(tone))
    loud = loudness.heard(power)
    assert float(power.sum(dim=2).mean()) == pytest.approx(2e9 / 1.1, rel=0.01)  # a tenth goes to `_QUIET`
    band = int(loud[0, 30].argmax())
    low, high = (float(bark(torch.tensor(f))) for f in (80.0, 8000.0))
    assert abs(band - 48 * (float(bark(torch.tensor(1000.0))) - low) / (high - low)) <= 1
    louder = loudness.heard(10 * power)[0, 30, band]
    assert float(louder / loud[0, 30, band]) == pytest.approx(10**0.23, rel=0.02)
    assert float(loudness.heard(1e-10 * power).max()) == 0 < float(loud.max())
    assert (loudness.exponent.diff() <= 0).all() and loudness.exponent.min() == pytest.approx(0.23)


def test_hearing_is_best_between_2_and_5_khz():
    level = 10 * torch.log10(threshold(torch.tensor([50.0, 100.0, 1000.0, 3500.0, 8000.0, 12_000.0])))
    assert level.tolist() == pytest.approx([34.5, 23.0, 3.4, -4.9, 4.8, 21.2], abs=0.1)


def test_loudness_loss():
    """By its definition, number by number."""
    x, other = (0.1 * noise(2, 1, 12_000, seed=seed) for seed in (1, 2))
    y = 0.8 * x + 0.1 * other
    loudness = Loudness(24_000)
    px, py = (level(loudness(wav)).double().numpy() for wav in (x, y))
    rows = []
    for clip in range(2):
        filtered = px[clip] * (py[clip].mean(axis=0) + 1000) / (px[clip].mean(axis=0) + 1000)
        frames = []
        for before, after in zip(filtered, py[clip], strict=True):
            after = after * (before.sum() + 5000) / (after.sum() + 5000)
            n, m = (loudness.heard(torch.from_numpy(power)).numpy() for power in (before, after))
            d = [max(0.0, abs(m_b - n_b) - min(n_b, m_b) / 4) for n_b, m_b in zip(n, m, strict=True)]
            h = [((a + 50) / (b + 50)) ** 1.2 for a, b in zip(after, before, strict=True)]
            added = np.mean([d_b * (0 if h_b < 3 else min(h_b, 12)) for d_b, h_b in zip(d, h, strict=True)])
            frames.append(0.27 * np.mean(np.square(d)) ** 0.5 + 1.5 * np.tanh(0.08 * added))
        stretches = [np.mean(np.power(frames[i:i + 40], 6)) ** (1 / 6) for i in range(0, len(frames) - 39, 20)]
        rows.append(np.mean(np.square(stretches)) ** 0.5)
    assert float(loudness_loss(loudness, x, y)) == pytest.approx(np.mean(rows), rel=1e-4)


def test_loudness_loss_forgives_filters_and_gains_not_noise():
    loudness = Loudness(24_000)
    x, other = (0.1 * noise(1, 1, 48_000, seed=seed) for seed in (1, 2))
    noisy = [float(loudness_loss(loudness, x, x + part * other)) for part in (0.1, 0.3, 1.0)]
    assert noisy == sorted(noisy) and noisy[0] < noisy[2] / 2
    assert float(loudness_loss(loudness, x, x)) < 1e-3
    assert float(loudness_loss(loudness, x, 0.1 * x)) < 1e-3
    assert float(loudness_loss(loudness, x, x * torch.linspace(0.5, 1.5, 48_000))) < 0.1 * noisy[2]
    duller = 0.5 * (x + x.roll(1, dims=2))
    assert float(loudness_loss(loudness, x, duller)) < 0.1 * noisy[2]


def test_what_is_added_counts_more_than_what_is_missing():
    loudness, bass = Loudness(24_000), 0.1 * noise(1, 1, 24_000, seed=1)
    for _ in range(30):  # away with the treble
        bass = 0.5 * (bass + bass.roll(1, dims=2))
    hiss = 0.02 * noise(1, 1, 24_000, seed=2)
    both = bass + hiss
    assert float(loudness_loss(loudness, bass, both)) > 2 * float(loudness_loss(loudness, both, bass))


def test_loudness_of_silence_and_of_short_clips():
    loudness = Loudness(24_000)
    silence = torch.zeros(2, 1, 6000, requires_grad=True)
    for x, y in ((noise(2, 1, 6000), silence), (torch.zeros(2, 1, 6000), silence)):
        loss = loudness_loss(loudness, x, y)
        loss.backward()
        assert loss.isfinite() and silence.grad.isfinite().all()
    assert loudness_loss(loudness, noise(1, 1, 100), noise(1, 1, 100)).isfinite()
    assert loudness_loss(Loudness(8000), noise(1, 1, 4000), 0.5 * noise(1, 1, 4000)).isfinite()
