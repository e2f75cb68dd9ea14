"""The language model: right, and the same bits however its frames are given."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy import special

from tests.helpers.language_model import CONFIG, draw_tensors
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.lm.model import LanguageModel
from tinyencodec.models.store import load_language_model
from tinyencodec.system.compiler.jit import JIT


def draw_codes(n_signals, n_frames, config=CONFIG, n_codebooks=None):
    shape = n_signals, n_codebooks or config.n_codebooks, n_frames
    codes = np.random.default_rng(5).integers(0, config.codebook_size, shape)
    codes[:, :, :1] = -1
    return codes


def by_definition(config, tensors, codes):
    """The whole model in float64, without a cache: codes [K, T] -> probabilities [T, K, N]."""
    def affine(x, place, weight="weight", bias="bias", dot="."):
        return x @ tensors[f"{place}{dot}{weight}"].T.astype(np.float64) + tensors[f"{place}{dot}{bias}"]

    def norm(x, place):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * tensors[f"{place}.weight"] + tensors[f"{place}.bias"]

    n_frames, half = codes.shape[1], config.dim // 2
    x = sum(tensors[f"emb.{k}.weight"][1 + row].astype(np.float64) for k, row in enumerate(codes))
    phase = np.arange(n_frames)[:, None] / config.max_period ** (np.arange(half) / (half - 1))
    x = norm(x, "transformer.norm_in") + np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    for i in range(config.n_layers):
        place = f"transformer.layers.{i}"
        past = np.concatenate([np.zeros((1, config.dim)), x])  # begins with a frame of zeros
        q, k, v = np.split(affine(past, f"{place}.self_attn", "in_proj_weight", "in_proj_bias"), 3, axis=1)
        heads = []
        for part in np.split(np.arange(config.dim), config.n_heads):
            scores = q[1:, part] @ k[:, part].T / np.sqrt(len(part))
            distance = np.arange(1, n_frames + 1)[:, None] - np.arange(n_frames + 1)
            scores[(distance < 0) | (distance > config.past_context)] = -np.inf
            heads.append(special.softmax(scores, axis=1) @ v[:, part])
        x = norm(x + affine(np.concatenate(heads, axis=1), f"{place}.self_attn.out_proj"), f"{place}.norm1")
        hidden = affine(x, f"{place}.linear1")
        x = norm(x + affine(hidden * special.ndtr(hidden), f"{place}.linear2"), f"{place}.norm2")
    return np.stack([special.softmax(affine(x, f"linears.{k}"), axis=1) for k in range(len(codes))], axis=1)


@pytest.mark.parametrize("config", [CONFIG, dataclasses.replace(CONFIG, dim=70, n_heads=2, past_context=300, ff_dim=33),
                                    LMConfig(1, 2, dim=4, n_layers=1, n_heads=1, ff_dim=5, past_context=1)])
def test_against_the_definition(config):
    tensors, codes = draw_tensors(config), draw_codes(1, 400, config)
    model = LanguageModel(config, tensors)
    p = model.step(codes, model.start())
    assert p.dtype == np.float32 and p.shape == (1, 400, config.n_codebooks, config.codebook_size)
    np.testing.assert_allclose(p[0], by_definition(config, tensors, codes[0]), rtol=0, atol=5e-6)


def test_fewer_codebooks():
    tensors, codes = draw_tensors(), draw_codes(1, 20, n_codebooks=2)
    model = LanguageModel(CONFIG, tensors)
    np.testing.assert_allclose(model.step(codes, model.start())[0], by_definition(CONFIG, tensors, codes[0]),
                               rtol=0, atol=5e-6)


MODEL = LanguageModel(CONFIG, draw_tensors())


@settings(max_examples=50 if JIT else 3)
@given(st.lists(st.sampled_from([1, 1, 2, 5, 30, 129, 300]), min_size=1, max_size=6), st.integers(1, 12))
def test_pieces_and_company_do_not_matter(cuts, n_signals):
    """Frame by frame or many at once, one signal or several side by side: the same bits, far past the context too."""
    codes = draw_codes(n_signals, sum(cuts))
    state, parts, start = MODEL.start(n_signals), [], 0
    for size in cuts:
        parts.append(MODEL.step(codes[:, :, start:start + size], state))
        start += size
    p = np.concatenate(parts, axis=1)
    last = codes[-1:]
    state = MODEL.start(1, start)
    alone = np.concatenate([MODEL.step(last[:, :, t:t + 1], state) for t in range(start)], axis=1)
    different = np.flatnonzero((p[-1:] != alone).any(axis=(0, 2, 3)))
    assert not len(different), f"frame {different[0]}"


def test_only_the_past_matters():
    codes = draw_codes(1, 50)
    changed = codes.copy()
    changed[:, :, 30] = (changed[:, :, 30] + 1) % CONFIG.codebook_size
    a, b = (MODEL.step(c, MODEL.start()) for c in (codes, changed))
    differ = (a != b).any(axis=(0, 2, 3))
    assert not differ[:30].any() and differ[30]
    # Each of two layers looks 9 frames back, so what frame 30 says is heard until 30 + 2 * 9 and not later.
    assert differ[30:30 + 2 * 9 + 1].any() and not differ[30 + 2 * 9 + 1:].any()


def test_id_changes_with_the_configuration_alone():
    other = LanguageModel(dataclasses.replace(CONFIG, past_context=10), draw_tensors())
    assert other.id != MODEL.id == LanguageModel(CONFIG, draw_tensors()).id
    assert LanguageModel(dataclasses.replace(CONFIG, max_period=10_000), draw_tensors()).id == MODEL.id


@pytest.mark.parametrize("codes", [np.full((1, 3, 1), 10), np.full((1, 3, 1), -2), np.zeros((1, 4, 1), int)])
def test_codes_of_no_such_model(codes):
    with pytest.raises(ValueError, match="codes: expected at most 3 codebooks of -1 to 9, got"):
        MODEL.step(codes, MODEL.start())


@pytest.mark.parametrize("field, value", [
    ("n_codebooks", 0), ("codebook_size", 1), ("dim", 3), ("n_heads", 5), ("dim", 1e3), ("max_period", 1),
    ("max_period", "x"), ("past_context", 1 << 20), ("n_layers", True)])
def test_config_out_of_range(field, value):
    with pytest.raises(ValueError, match=f"config field {field}: expected"):
        dataclasses.replace(CONFIG, **{field: value})


def write_folder(folder, tensors, config=CONFIG, dtype=np.float32):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file({name: array.astype(dtype) for name, array in tensors.items()}, folder / "model.safetensors")
    return folder


def test_loading(tmp_path):
    tensors = {name: array.astype(np.float16).astype(np.float32) for name, array in draw_tensors().items()}
    full, half = (load_language_model(write_folder(tmp_path / name, tensors, dtype=dtype))
                  for name, dtype in (("full", np.float32), ("half", np.float16)))
    assert full.id == half.id == LanguageModel(CONFIG, tensors).id


def test_loading_what_is_no_language_model(tmp_path):
    tensors = draw_tensors()
    with pytest.raises(ValueError, match="expected readable config.json"):
        load_language_model(tmp_path / "none")
    with pytest.raises(ValueError, match="linears.1.bias .10. is missing"):
        load_language_model(write_folder(tmp_path, {n: a for n, a in tensors.items() if n != "linears.1.bias"}))
    with pytest.raises(ValueError, match="emb.0.weight holds NaN"):
        load_language_model(write_folder(tmp_path, {**tensors, "emb.0.weight": tensors["emb.0.weight"] * np.nan}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "encodec"}))
    with pytest.raises(ValueError, match="model_type: expected 'encodec_lm', got 'encodec'"):
        load_language_model(tmp_path)
    (tmp_path / "config.json").write_text("[" * 5000)
    with pytest.raises(ValueError, match="config.json"):
        load_language_model(tmp_path)


def test_official_shapes():
    """As many numbers as the official checkpoints have."""
    sizes = {name: sum(int(np.prod(shape)) for shape in config.tensors().values())
             for name, config in LM_PRESETS.items()}
    assert sizes == {"encodec_lm_24khz": 15_559_768, "encodec_lm_48khz": 8_986_584}
