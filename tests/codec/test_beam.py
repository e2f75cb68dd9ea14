"""Beam search against its definition, against all choices there are, and against the greedy algorithm."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.signals import cut, noise
from tinyencodec.codec import beam as search
from tinyencodec.codec.beam import check_search
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.kernels.gemm import pack
from tinyencodec.system.compiler.jit import JIT

seeds = st.integers(0, 2**32 - 1)


def draw(seed, frames, k, entries, size):
    """A quantiser and latents in multiples of 1/8: every error is exact in float32, and so are ties."""
    random = np.random.default_rng(seed)
    books = [(random.integers(-16, 16, (entries, size)) // 2**i).astype(np.float32) / 8 for i in range(k)]
    return ResidualVectorQuantizer(books), random.integers(-32, 32, (frames, size)).astype(np.float32) / 8, random


def errors(rvq, z, codes):
    """Squared errors, float64 [F]."""
    return np.square(z.astype(np.float64) - sum(book[row].astype(np.float64) for book, row in
                                                zip(rvq.codebooks, codes))).sum(axis=1)


@given(st.integers(1, 40), st.integers(1, 4), st.sampled_from([2, 8, 64]), st.integers(1, 9), st.integers(2, 20), seeds)
def test_never_worse_than_greedy(frames, k, entries, size, width, seed):
    rvq, z, _ = draw(seed, frames, k, entries, size)
    greedy, found = rvq.encode(z), rvq.encode(z, search=width)
    assert found.shape == greedy.shape and found.dtype == np.int32
    assert (errors(rvq, z, found) <= errors(rvq, z, greedy)).all()


@given(st.integers(1, 30), st.integers(1, 4), st.sampled_from([2, 8, 64]), st.integers(1, 9), seeds)
def test_one_choice_is_the_greedy_one(frames, k, entries, size, seed):
    """By the search itself, with penalties of nothing: `search=1` without them does not come here."""
    rvq, z, _ = draw(seed, frames, k, entries, size)
    np.testing.assert_array_equal(rvq.encode(z, search=1, penalties=np.zeros((k, 1, entries), np.float32)),
                                  rvq.encode(z))


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(2, 4), st.integers(1, 5), st.booleans(), seeds)
def test_all_choices_kept_find_the_best_of_all(k, entries, size, penalised, seed):
    rvq, z, random = draw(seed, 7, k, entries, size)
    penalties = random.integers(0, 64, (k, 7, entries)).astype(np.float32) / 8 * penalised
    found = rvq.encode(z, search=entries**k, penalties=penalties)

    def costs(codes):
        return errors(rvq, z, codes) / 2 + sum(penalties[i, range(7), row] for i, row in enumerate(codes))

    every = [costs(np.repeat(np.array(choice)[:, None], 7, axis=1))
             for choice in itertools.product(range(entries), repeat=k)]
    np.testing.assert_array_equal(costs(found), np.min(every, axis=0))


def test_the_second_nearest_may_win():
    rvq = ResidualVectorQuantizer([np.array([[4, 0], [0, 5]], np.float32), np.array([[0, 0], [3, -2]], np.float32)])
    z = np.array([[3, 3]], np.float32)
    np.testing.assert_array_equal(rvq.encode(z), [[0], [0]])  # leaves (-1, 3), which neither entry mends
    np.testing.assert_array_equal(rvq.encode(z, search=2), [[1], [1]])  # leaves (3, -2), which one is


def test_frames_do_not_depend_on_each_other():
    rvq, z, random = draw(1, 150, 4, 32, 16)
    z = random.standard_normal(z.shape).astype(np.float32)
    penalties = random.random((4, 150, 32)).astype(np.float32)
    whole = rvq.encode(z, search=9), rvq.encode(z, search=9, penalties=penalties)
    for f in range(0, 150, 29):
        np.testing.assert_array_equal(rvq.encode(z[f:f + 1], search=9), whole[0][:, f:f + 1])
        np.testing.assert_array_equal(rvq.encode(z[f:f + 1], search=9, penalties=penalties[:, f:f + 1]),
                                      whole[1][:, f:f + 1])
    assert rvq.encode(z[:0], search=9).shape == (4, 0)


def test_more_choices_find_better_codes():
    random = np.random.default_rng(0)
    rvq = ResidualVectorQuantizer([(random.standard_normal((64, 8)) / 1.5**k).astype(np.float32) for k in range(6)])
    z = random.standard_normal((400, 8)).astype(np.float32)
    means = [errors(rvq, z, rvq.encode(z, search=width)).mean() for width in (1, 2, 4, 8)]
    assert all(later < 0.95 * earlier for earlier, later in zip(means, means[1:])), means


@pytest.mark.skipif(not JIT, reason="the twin is what runs")
@settings(max_examples=60)
@given(st.integers(1, 9), st.sampled_from([2, 5, 16, 33, 70]), st.integers(1, 9), st.integers(1, 12),
       st.booleans(), seeds)
def test_kernel_equals_twin(frames, entries, size, kept, each, seed):
    rvq, z, random = draw(seed, frames, 1, entries, size)
    left = random.integers(-32, 32, (3 * frames, size)).astype(np.float32) / 8
    costs = np.square(left).sum(axis=1) / 2 + random.integers(0, 9, len(left)).astype(np.float32)
    book = rvq.codebooks[0]
    penalty = random.integers(0, 9, (frames if each else 1, entries)).astype(np.float32) / 4
    room = frames * min(kept, entries)
    results = []
    for run in (search._extend, search._extend.twin):
        parents, entry = np.zeros((2, room), np.int64)
        extended, rest = np.empty(room, np.float32), np.empty((room, size), np.float32)
        run(left, costs, book, pack(book.T).data, -np.square(book).sum(axis=1) / 2, penalty, frames, parents, entry,
            extended, rest, *search._room(frames, room // frames))
        results.append([parents, entry, extended, rest])
    for got, expected in zip(*results):
        np.testing.assert_array_equal(got, expected)


def test_numbers_beyond_float32_give_codes_all_the_same():
    rvq = ResidualVectorQuantizer([np.full((5, 3), 3e38, np.float32), np.full((5, 3), np.nan, np.float32)])
    for z in (np.zeros((4, 3), np.float32), np.full((4, 3), 3e38, np.float32)):
        with np.errstate(all="ignore"):
            codes = rvq.encode(z, search=4)
        assert codes.shape == (2, 4) and (codes >= 0).all() and (codes < 5).all()


@given(st.sampled_from(["causal", "scaled", "segments"]), st.integers(1, 700),
       st.lists(st.one_of(st.sampled_from([0, 1, 7, 8, 9]), st.integers(0, 120)), max_size=9), st.integers(2, 9),
       st.integers(1, 3), seeds)
@settings(max_examples=40)
def test_streaming_equals_batch(models, shape, length, parts, width, threads, seed):
    model, wav = models[shape], noise(models[shape], length, seed)
    model.threads = 1
    expected = np.concatenate([frame.codes for frame in model.encode(wav, 1.6, search=width)], axis=1)
    model.threads = threads
    stream = model.streaming_encoder(1.6, search=width)
    codes = np.concatenate([*(stream.push(chunk) for chunk in cut(wav, parts)), stream.flush()], axis=1)
    if JIT:  # NumPy's product may depend on the number of rows
        np.testing.assert_array_equal(codes, expected)
    assert codes.shape == expected.shape


@pytest.mark.parametrize("wrong", [0, -1, 257, 2.0, True, "8", None])
def test_no_such_search(models, wrong):
    with pytest.raises(ValueError, match="search: expected a whole number from 1 to 256, got"):
        models["causal"].encode(np.zeros((1, 10), np.float32), 1.6, search=wrong)
    assert check_search(np.int64(8)) == 8
