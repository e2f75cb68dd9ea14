"""Choosing codes by error and bits: what a bit costs, and what its price does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.language_model import CONFIG, draw_tensors
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.ecdc.coders import FixedCoder
from tinyencodec.entropy import rate
from tinyencodec.entropy.rate import RateSearch, bits_of, check_weight
from tinyencodec.entropy.tables import TableCoder
from tinyencodec.lm.coder import LMCoder
from tinyencodec.lm.model import LanguageModel
from tinyencodec.system.compiler.jit import JIT

K, N, D = 3, CONFIG.codebook_size, 6
RANDOM = np.random.default_rng(5)
RVQ = ResidualVectorQuantizer([(RANDOM.standard_normal((N, D)) / 1.5**k).astype(np.float32) for k in range(K)])
TABLES = RANDOM.integers(16, 120, (K, N)).astype(np.uint8)
CODERS = {"table": TableCoder(TABLES), "lm": LMCoder(LanguageModel(CONFIG, draw_tensors()))}


def latents(frames, seed=0):
    return np.random.default_rng(seed).standard_normal((D, frames)).astype(np.float32)


def errors(z, codes):
    return np.square(z.T.astype(np.float64) - RVQ.decode(codes)).sum(axis=1)


@settings(max_examples=50)
@given(st.lists(st.integers(2, 1 << 20), min_size=2, max_size=16))
def test_bits_are_logarithms(units):
    cdf = np.cumsum(np.array(units, np.int32)).astype(np.int32)
    np.testing.assert_allclose(bits_of(cdf), 24 - np.log2(units), atol=1e-3)
    twin = np.empty((1, len(units)), np.float32)
    rate._bits.twin(cdf[None], rate._LOG2, twin) if JIT else rate._bits(cdf[None], rate._LOG2, twin)
    np.testing.assert_array_equal(twin[0], bits_of(cdf))


@pytest.mark.parametrize("kind", CODERS)
@pytest.mark.parametrize("width", [1, 4])
def test_what_is_chosen_is_what_is_coded(kind, width):
    """Codes that decode from these bytes, which are those that the coder makes of them; blocks are independent."""
    coder, search = CODERS[kind], RateSearch(RVQ, K, width, 1.0)
    blocks = [latents(frames, frames) for frames in (30, 9, 30, 1)]
    chosen = coder.choose(blocks, search)
    for (codes, data), block in zip(chosen, blocks, strict=True):
        assert codes.shape == (K, block.shape[1])
        assert coder.encode([codes]) == [data]
        np.testing.assert_array_equal(coder.decode([(data, codes.shape[1])], K)[0], codes)
        (alone, same), = coder.choose([block], search)
        np.testing.assert_array_equal(alone, codes)
        assert same == data


@pytest.mark.parametrize("kind", CODERS)
def test_a_higher_weight_saves_bits_and_costs_error(kind):
    z, found = latents(300), []
    for weight in (0.01, 1.0, 4.0, 16.0):
        (codes, data), = CODERS[kind].choose([z], RateSearch(RVQ, K, 8, weight))
        found.append((len(data), errors(z, codes).mean()))
    sizes, means = zip(*found)
    assert all(later < 0.97 * earlier for earlier, later in zip(sizes, sizes[1:])), sizes
    assert all(later > 1.02 * earlier for earlier, later in zip(means, means[1:])), means


@pytest.mark.parametrize("kind", CODERS)
def test_no_weight_is_plain_search(kind):
    z = latents(50)
    (codes, _), = CODERS[kind].choose([z], RateSearch(RVQ, K, 5, 0.0))
    np.testing.assert_array_equal(codes, RVQ.encode(np.ascontiguousarray(z.T), K, 5))
    (fixed, data), = FixedCoder(4).choose([z], RateSearch(RVQ, K, 5, 1.0))
    np.testing.assert_array_equal(fixed, codes)
    assert data == FixedCoder(4).encode([codes])[0]


def test_cost_is_the_least_of_all_choices():
    """Every choice of three codes is tried, by table."""
    z, weight = latents(20), 2.0
    search = RateSearch(RVQ, K, 256, weight)
    price = float(search.price(np.ascontiguousarray(z.T)))
    bits = bits_of(CODERS["table"]._cdf)

    def costs(codes):
        return errors(z, codes) / 2 + price * sum(bits[k, row] for k, row in enumerate(codes))

    (codes, _), = CODERS["table"].choose([z], search)
    every = [costs(np.repeat(np.array(choice)[:, None], 20, axis=1)) for choice in np.ndindex(N, N, N)]
    np.testing.assert_allclose(costs(codes), np.min(every, axis=0), rtol=0.02)
    assert np.mean(costs(codes) <= np.min(every, axis=0) * (1 + 1e-6)) > 0.9


def test_price_of_a_bit():
    z = np.ascontiguousarray(latents(40).T)
    error = errors(z.T, RVQ.encode(z)).sum()
    assert RateSearch(RVQ, K, 8, 3.0).price(z) == pytest.approx(3 * error / (40 * K * np.log2(N)) / 2)


@pytest.mark.parametrize("wrong", [-0.1, 1001, float("nan"), float("inf"), "1", True, None])
def test_no_such_weight(wrong):
    with pytest.raises(ValueError, match="rate weight: expected a number from 0 to 1000, got"):
        check_weight(wrong)
    assert check_weight(np.float32(2)) == 2.0


def test_too_many_codebooks():
    search = RateSearch(RVQ, K + 1, 4, 1.0)
    with pytest.raises(ValueError, match="codebooks: expected 1 to 3 with these tables, got 4"):
        CODERS["table"].choose([latents(3)], search)
    with pytest.raises(ValueError, match="language model: expected at most 3 codebooks"):
        CODERS["lm"].choose([latents(3)], search)
