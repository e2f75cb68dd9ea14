"""Refitting: what the decoder makes heard, the turned latent, the codebooks, and the command."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from tests.train.test_corpus import RATE, make_corpus
from tests.train.test_run import TINY
from tinyencodec import load_model
from tinyencodec.train import refit
from tinyencodec.train.mixing import Mixer
from tinyencodec.train.network import Codec, load, save
from tinyencodec.train.packed import PackedCorpus

N_CLIPS = 24


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def batches(corpus, n=N_CLIPS, seconds=0.2):
    mixer = Mixer(PackedCorpus(corpus, "train"), int(seconds * RATE), 0)
    return [torch.from_numpy(mixer.batch(step, 4)) for step in range(n // 4)]


def codec_for(corpus, config=TINY):
    """Random weights, and codebooks from few latents, so that better ones can be found."""
    torch.manual_seed(3)
    codec = Codec(config).eval()
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.1 * torch.randn_like(parameter))
    found = refit.latents(codec, batches(corpus)[:1])
    codec.quantizer.start(found[:20], torch.Generator().manual_seed(0), rounds=0)
    return codec.requires_grad_(False)


def left(codec, z):
    """What the codebooks leave of latents [M, D], as a share of their energy."""
    rows = z.t()[None]
    quantized, _ = codec.quantizer.quantize(rows, codec.config.n_codebooks)
    return float((rows - quantized).square().sum() / rows.square().sum())


def random_matrix(size=TINY.hidden_size):
    generator = torch.Generator().manual_seed(1)
    return torch.eye(size) + 0.3 * torch.randn(size, size, generator=generator)


def test_power_of_a_matrix():
    a = random_matrix().double()
    a = a @ a.t()
    root = refit.power_of(a, 0.5)
    assert torch.allclose(root @ root, a) and torch.allclose(root, root.t())
    assert torch.allclose(refit.power_of(a, 1.0), a)
    assert torch.allclose(refit.power_of(a, 0.0), torch.eye(len(a), dtype=a.dtype))
    flat = torch.diag(torch.tensor([4.0, 0.0], dtype=a.dtype))  # a direction that is not heard at all
    assert torch.allclose(refit.power_of(flat, 0.5).diagonal(), torch.tensor([2.0, 0.02], dtype=a.dtype))


def test_turned_latents_sound_the_same(corpus):
    """The encoder gives T z, codebooks hold T e, and the decoder takes them as before."""
    before, after, t = codec_for(corpus), codec_for(corpus), random_matrix()
    refit.turn(after, t)
    wav = batches(corpus)[0]
    z, turned = before.latent(wav), after.latent(wav)
    assert torch.allclose(torch.einsum("de,bef->bdf", t, z), turned, atol=1e-5)
    assert not torch.allclose(z, turned, atol=0.1 * float(z.std()))
    sound = before.sound(z, wav)
    assert torch.allclose(sound, after.sound(turned, wav), atol=1e-4 * float(sound.abs().max()))
    for old, new in zip(before.quantizer.codebooks, after.quantizer.codebooks):
        assert torch.allclose(old.embed @ t.t(), new.embed, atol=1e-5)


def test_a_rotation_changes_no_code(corpus):
    before, after = codec_for(corpus), codec_for(corpus)
    refit.turn(after, torch.linalg.qr(random_matrix())[0])
    wav = batches(corpus)[0]
    codes = [codec.quantizer.quantize(codec.latent(wav), 2)[1] for codec in (before, after)]
    assert (codes[0] == codes[1]).float().mean() > 0.99  # some are all but ties


def test_sensitivity_is_the_mean_of_the_jacobians_square(corpus):
    """For the waveform as the only feature, against the whole Jacobian of the decoder."""
    codec, wav = codec_for(corpus), batches(corpus, seconds=0.02)[0][:1]
    z = codec.quantizer.quantize(codec.latent(wav), codec.config.n_codebooks // 2)[0]
    jacobian = torch.autograd.functional.jacobian(lambda latent: codec.sound(latent, wav), z)
    j = jacobian[0, 0, :, 0].transpose(1, 2).flatten(0, 1)  # [1, 1, T, 1, D, F] -> [T * F, D]
    expected = (j.t() @ j).double()
    expected *= len(expected) / expected.trace()
    rng = torch.Generator().manual_seed(2)
    found = refit.sensitivity(codec, [wav] * 3000, rng, lambda y: [[y]])
    assert found.trace() == pytest.approx(TINY.hidden_size)
    assert torch.linalg.norm(found - expected) < 0.05 * torch.linalg.norm(expected)


def test_groups_of_features_have_equal_shares(corpus):
    """However large their numbers are."""
    codec, wavs = codec_for(corpus), batches(corpus, seconds=0.05)[:1] * 200

    def low(y):
        return (y[..., 1:] + y[..., :-1]) / 2

    def high(y):
        return (y[..., 1:] - y[..., :-1]) / 2

    def matrix(features):
        return refit.sensitivity(codec, wavs, torch.Generator().manual_seed(4), features)

    both = matrix(lambda y: [[1000 * low(y)], [high(y)]])
    mean = (matrix(lambda y: [[low(y)]]) + matrix(lambda y: [[high(y)]])) / 2
    assert torch.linalg.norm(both - mean) < 0.1 * torch.linalg.norm(mean)


def test_ear_has_finite_slopes_for_silence_too():
    ear = refit.Ear(RATE)
    for wav in (torch.zeros(2, 1, 4000), 0.1 * torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))):
        wav.requires_grad_(True)
        groups = ear.features(wav)
        assert len(groups) == 4
        for group in groups:
            slope, = torch.autograd.grad(sum(f.sum() for f in group), wav, retain_graph=True)
            assert torch.isfinite(slope).all()


def test_codebooks_fit_better_and_nothing_else_changes(corpus):
    codec = codec_for(corpus)
    parameters = {name: value.clone() for name, value in codec.named_parameters()}
    mixer = Mixer(PackedCorpus(corpus, "train"), int(0.2 * RATE), 0)
    z = refit.latents(codec, batches(corpus))
    before = left(codec, z)
    refit.refit(codec, mixer, 240, power=0.0)
    assert left(codec, z) < 0.8 * before
    assert all(torch.equal(value, parameters[name]) for name, value in codec.named_parameters())


def test_what_is_heard_most_is_kept_best(corpus):
    """With the latent turned, errors are smaller in the direction that the decoder makes loudest."""
    errors = []
    for power in (0.0, 0.5):
        codec = codec_for(corpus)
        mixer = Mixer(PackedCorpus(corpus, "train"), int(0.2 * RATE), 0)
        m = refit.sensitivity(codec, batches(corpus), torch.Generator().manual_seed(0), refit.Ear(RATE).features)
        loudest = torch.linalg.eigh(m)[1][:, -1].float()
        original = codec.encoder.layers[-1].conv.folded().clone()
        refit.refit(codec, mixer, 240, power=power)
        t = codec.encoder.layers[-1].conv.folded().flatten(1) @ torch.linalg.pinv(original.flatten(1))
        z = torch.cat([codec.latent(wav) for wav in batches(corpus)])
        error = z - codec.quantizer.quantize(z, 2)[0]
        in_place = torch.einsum("de,bef->bdf", torch.linalg.inv(t), error)  # of the latent as it was
        errors.append(float(torch.einsum("d,bdf->bf", loudest, in_place).square().mean()))
    assert errors[1] < 0.8 * errors[0]


def test_command(corpus, tmp_path, capsys):
    save(codec_for(corpus), tmp_path / "old")
    arguments = [str(tmp_path / "old"), str(tmp_path / "new"), "--corpus", str(corpus), "--clips", "24", "--seconds",
                 "0.2", "--rounds", "2"]
    assert refit.main(arguments) == 0
    assert "kbit/s: SI-SNR" in capsys.readouterr().out
    wav = batches(corpus)[0][0].numpy()
    model, twin = load_model(tmp_path / "new"), load(tmp_path / "new").eval()
    codes = model.encode(wav, 9.6)[0][0]
    with torch.no_grad():
        theirs = twin.quantizer.quantize(twin.latent(torch.from_numpy(wav)[None]), len(codes))[1][0].numpy()
    assert np.mean(codes == theirs) > 0.99
    first = load_file(tmp_path / "new/model.safetensors")
    assert refit.main([*arguments[:1], str(tmp_path / "again"), *arguments[2:]]) == 0  # seeded
    again = load_file(tmp_path / "again/model.safetensors")
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("arguments, expected", [
    (["--power", "0.7"], "--power: expected a number from 0 to 0.5, got 0.7"),
    (["--power", "nan"], "--power: expected a number from 0 to 0.5, got nan"),
    (["--clips", "0"], "--clips: expected a number above 0, got 0"),
    (["--rounds", "-1"], "--rounds: expected a number above 0, got -1"),
])
def test_bad_numbers(corpus, tmp_path, capsys, arguments, expected):
    save(codec_for(corpus), tmp_path / "old")
    assert refit.main([str(tmp_path / "old"), str(tmp_path / "new"), "--corpus", str(corpus), *arguments]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_latent_behind_a_norm_cannot_be_turned(corpus, tmp_path, capsys):
    config = dataclasses.replace(TINY, norm_type="time_group_norm", use_causal_conv=False)
    save(codec_for(corpus, config), tmp_path / "old")
    arguments = [str(tmp_path / "old"), str(tmp_path / "new"), "--corpus", str(corpus), "--clips", "12", "--seconds",
                 "0.2", "--rounds", "1"]
    assert refit.main(arguments) == 2
    assert "expected a model with weight norm" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert refit.main([*arguments, "--power", "0"]) == 0
    load_model(tmp_path / "new")


def test_a_corpus_of_another_rate(corpus, tmp_path, capsys):
    save(Codec(dataclasses.replace(TINY, sampling_rate=2 * RATE)), tmp_path / "old")
    assert refit.main([str(tmp_path / "old"), str(tmp_path / "new"), "--corpus", str(corpus)]) == 2
    assert f"expected 1 channel(s) at {2 * RATE} Hz, got 1 at {RATE}" in capsys.readouterr().err
