"""The language model against the official one: weights, probabilities, and that official files are refused."""

import functools
import io

import numpy as np
import pytest
import torch

from tinyencodec.ecdc.header import EcdcHeader, read_header
from tinyencodec.lm.config import LM_PRESETS
from tinyencodec.lm.model import LanguageModel
from tinyencodec.models.convert import convert
from tinyencodec.models.store import load_language_model
from tinyencodec.models.weight_files import read_tensors

from .oracles import official_ecdc, official_model
from .report import LINES

LMModel = official_model.LMModel
N_FRAMES = 600  # past the context's end: 262 and 525 frames


@functools.cache
def official(name: str, gain: float = 1.0) -> LMModel:
    """The official model of official size with seeded random weights; `gain` makes its guesses surer."""
    config = LM_PRESETS[name]
    torch.manual_seed(7)
    model = LMModel(config.n_codebooks, config.codebook_size, num_layers=config.n_layers, dim=config.dim,
                    past_context=config.past_context).eval()
    with torch.no_grad():
        for linear in model.linears:
            linear.weight.mul_(gain)
    return model


def ours(name: str, gain: float = 1.0) -> LanguageModel:
    state = {key: value.numpy() for key, value in official(name, gain).state_dict().items()}
    return LanguageModel(LM_PRESETS[name], state)


def draw_codes(n_codebooks: int, n_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1024, (n_codebooks, n_frames))


def before(codes: np.ndarray) -> np.ndarray:
    """What the model is given: each frame's predecessor, and for the first none."""
    return np.concatenate([np.full((len(codes), 1), -1), codes[:, :-1]], axis=1)[None]


@pytest.mark.parametrize("name", LM_PRESETS)
def test_conversion(name, tmp_path):
    state = official(name).state_dict()
    torch.save(state, tmp_path / f"{name}-0.th")
    assert convert(tmp_path / f"{name}-0.th", tmp_path / "codec" / "lm") == LM_PRESETS[name]
    tensors = read_tensors(tmp_path / "codec" / "lm" / "model.safetensors")
    assert tensors.keys() == state.keys() == LM_PRESETS[name].tensors().keys()
    for key, value in state.items():
        np.testing.assert_array_equal(tensors[key], value.numpy(), err_msg=key)
    assert load_language_model(tmp_path / "codec" / "lm").id == ours(name).id


@pytest.mark.parametrize("name, n_codebooks", [
    ("encodec_lm_24khz", 2), ("encodec_lm_24khz", 8), ("encodec_lm_24khz", 32), ("encodec_lm_48khz", 16)])
@torch.no_grad()
def test_probabilities(name, n_codebooks):
    codes = before(draw_codes(n_codebooks, N_FRAMES))
    indices, model, states, offset, steps = torch.from_numpy(codes + 1), official(name), None, 0, []
    at_once = model(indices)[0][0].permute(2, 1, 0).numpy()  # [1, N, K, T] -> [T, K, N]
    for t in range(N_FRAMES):
        p, states, offset = model(indices[:, :, t:t + 1], states, offset)
        steps.append(p[0].permute(2, 1, 0).numpy())
    mine = ours(name)
    p = mine.step(codes, mine.start())[0]
    for which, theirs in (("at once", at_once), ("frame by frame", np.concatenate(steps))):
        error = np.abs(p - theirs).max()
        LINES.append(f"{name}, {n_codebooks} codebooks, {which}: probabilities within {error:.1e} "
                     f"(largest {theirs.max():.3f})")
        assert error <= 1e-6


@torch.no_grad()
def test_probabilities_of_a_model_that_is_sure():
    """Where probabilities come near to 1, float32 itself is the limit: no farther from the truth than the oracle."""
    codes, gain = before(draw_codes(8, N_FRAMES)), 6.0
    theirs, mine = official("encodec_lm_24khz", gain), ours("encodec_lm_24khz", gain)
    p = mine.step(codes, mine.start())[0]
    reference = theirs(torch.from_numpy(codes + 1))[0][0].permute(2, 1, 0).numpy()
    truth = theirs.double()(torch.from_numpy(codes + 1))[0][0].permute(2, 1, 0).numpy()
    theirs.float()
    our_error, their_error = np.abs(p - truth).max(), np.abs(reference - truth).max()
    LINES.append(f"logits times {gain:g}, largest probability {truth.max():.3f}: {our_error:.1e} from float64, "
                 f"official {their_error:.1e}")
    assert our_error <= max(1e-6, 1.5 * their_error)


@torch.no_grad()
def test_official_files_are_refused(monkeypatch):
    """What the official program writes with `use_lm` is taken for what it is."""
    name = "encodec_24khz"
    torch.manual_seed(0)
    codec = official_ecdc.EncodecModel.encodec_model_24khz(pretrained=False).eval()
    codec.name, codec.get_lm_model = name, lambda: official("encodec_lm_24khz")
    codec.set_target_bandwidth(3.0)
    monkeypatch.setitem(official_ecdc.MODELS, name, lambda: codec)
    data = io.BytesIO(official_ecdc.compress(codec, torch.zeros(1, 3200), use_lm=True))
    assert read_header(data, to_decode=False) == EcdcHeader(name, 3200, 4, lm=True)
    data.seek(0)
    with pytest.raises(ValueError, match="coded with the official language model, .*: decode it with the official"):
        read_header(data)
