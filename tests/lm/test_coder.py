"""Coding with the language model: what is written is read, whoever reads it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.language_model import CONFIG, draw_tensors
from tinyencodec.lm.coder import LMCoder
from tinyencodec.lm.model import LanguageModel
from tinyencodec.system.compiler.jit import JIT

CODER, THREADED = (LMCoder(LanguageModel(CONFIG, draw_tensors()), threads) for threads in (1, 3))


def draw_blocks(sizes, n_codebooks=3):
    random = np.random.default_rng(3)
    return [random.integers(0, CONFIG.codebook_size, (n_codebooks, size)) for size in sizes]


@settings(max_examples=50 if JIT else 5)
@given(st.lists(st.integers(0, 40), max_size=7), st.integers(1, 3))
def test_round_trip(sizes, n_codebooks):
    blocks = draw_blocks(sizes, n_codebooks)
    payloads = CODER.encode(blocks)
    for coder in (CODER, THREADED):
        assert coder.encode(blocks) == payloads
        decoded = coder.decode(list(zip(payloads, sizes)), n_codebooks)
        assert len(decoded) == len(blocks)
        for codes, block in zip(decoded, blocks):
            assert codes.dtype == np.int64
            np.testing.assert_array_equal(codes, block)


def test_blocks_are_independent():
    blocks = draw_blocks([30, 30, 30, 12])
    together = CODER.encode(blocks)
    assert together == [CODER.encode([block])[0] for block in blocks]
    alone, = CODER.decode([(together[2], 30)], 3)
    np.testing.assert_array_equal(alone, blocks[2])


@pytest.mark.parametrize("n_frames", [0, 1, 2, 10, 1000])
def test_bits_are_those_that_the_model_asks_for(n_frames):
    block, = draw_blocks([n_frames])
    payload, = CODER.encode([block])
    ideal = CODER.costs(block)
    assert ideal.shape == (3,)
    assert ideal.sum() - 8 <= 8 * len(payload) <= ideal.sum() + 32


def test_each_bit_counts():
    """A flipped bit changes codes, if not the one it stands for then one after it, or cannot be decoded at all."""
    block, = draw_blocks([12])
    payload, = CODER.encode([block])
    unnoticed = 0
    for i in range(0, 8 * len(payload), 1 if JIT else 9):
        flipped = bytearray(payload)
        flipped[i // 8] ^= 1 << i % 8
        try:
            decoded, = CODER.decode([(bytes(flipped), 12)], 3)
        except ValueError as error:
            assert "impossible state" in str(error) or "coded bits: expected at most" in str(error)
        else:
            unnoticed += np.array_equal(decoded, block)
    assert unnoticed <= 8  # bits of the last byte that no code depends on


def test_bits_left_over():
    block, = draw_blocks([12])
    payload, = CODER.encode([block])
    with pytest.raises(ValueError, match="coded bits: expected at most .* bytes, got"):
        CODER.decode([(payload + 4 * b"\1", 12)], 3)


@pytest.mark.parametrize("codes, message", [(np.zeros((3, 2)), "expected integers"),
                                            (np.zeros(3, int), "expected shape"),
                                            (np.full((3, 2), 10), r"expected 0 ... 9, got \[10, 10\]"),
                                            (np.full((1, 2), -1), r"expected 0 ... 9, got \[-1, -1\]"),
                                            (np.zeros((4, 2), int), "expected at most 3 codebooks")])
def test_codes_that_are_none(codes, message):
    with pytest.raises(ValueError, match=message):
        CODER.encode([codes])
