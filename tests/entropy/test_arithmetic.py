"""The coder against a textbook one that emits digits as soon as they are settled, and against its own promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.messages import gap, message, parts_of, straddle
from tinyencodec.entropy.arithmetic import (
    MAX_SYMBOLS,
    TOTAL,
    ArithmeticDecoder,
    ArithmeticEncoder,
    _quantise_naive,
    bounds,
    quantised_cdf,
)


def textbook(parts):
    """Digits leave once the first and the last number of the interval agree in them; no carry, no whole number."""
    low = high = n = 0
    digits = []
    for start, stop in parts:
        while high - low + 1 < TOTAL:
            low, high, n = 2 * low, 2 * high + 1, n + 1
        width = high - low + 1
        low, high = low + math.ceil(start * width / TOTAL), low + math.floor((stop - 1) * width / TOTAL)
        while n and low >> (n - 1) == high >> (n - 1):
            n -= 1
            digits.append(low >> n)
            low, high = low & ((1 << n) - 1), high & ((1 << n) - 1)
    digits += [low >> i & 1 for i in reversed(range(n))]
    return np.packbits(np.array(digits, np.uint8), bitorder="little").tobytes()


def encode(parts, shortest=False):
    encoder = ArithmeticEncoder()
    for start, stop in parts:
        encoder.push(start, stop)
    return encoder.finish(shortest)


def decode(data, cdfs):
    decoder = ArithmeticDecoder(data)
    return [decoder.pull(cdf) for cdf in cdfs], decoder


def ideal_bits(parts, less=0):
    """What the units are worth; `less`: if each symbol owned that many fewer."""
    return sum(24 - math.log2(stop - start - less) for start, stop in parts)


def test_worked_by_hand():
    """A symbol with the upper half: interval [2^23, 2^24) of 24 digits, so 1000...; its shortest form is one byte."""
    half = TOTAL // 2
    assert encode([]) == encode([], shortest=True) == b""
    assert encode([(half, TOTAL)]) == b"\x01\0\0" and encode([(half, TOTAL)], shortest=True) == b"\x01"
    assert encode([(0, half)]) == b"\0\0\0" and encode([(0, half)], shortest=True) == b""
    # The second symbol's quarter 2: one more digit, then 2^23 2 + 2^22 2: 1.1 and 23 digits.
    assert encode([(half, TOTAL), (half, 3 * TOTAL // 4)]) == b"\x03\0\0\0"
    # 3/8 to 3/4, shrunk to odd numbers: its shortest number is 1/2.
    assert encode([(3 * TOTAL // 8 + 1, 3 * TOTAL // 4 - 1)], shortest=True) == b"\x01"


@pytest.mark.parametrize("n_entries", [2, 3, 10, 1000, 1024, MAX_SYMBOLS])
@pytest.mark.parametrize("kind", ["uniform", "random", "certain", "rare"])
@pytest.mark.parametrize("n_symbols", [0, 1, 2, 10, 200])
def test_size_ladder(kind, n_symbols, n_entries):
    cdfs, symbols = message(kind, n_symbols, n_entries)
    parts = parts_of(cdfs, symbols)
    official, shortest = encode(parts), encode(parts, shortest=True)
    assert official == textbook(parts)
    back, decoder = decode(official, cdfs)
    assert back == symbols.tolist() and -(-decoder.position // 8) == len(official)
    assert decode(shortest, cdfs)[0] == symbols.tolist()
    if kind != "rare":
        assert 8 * len(official) <= ideal_bits(parts) + 32 and 8 * len(shortest) <= ideal_bits(parts) + 9
    else:
        assert 8 * len(official) <= 25 * n_symbols + 32 and 8 * len(shortest) <= 25 * n_symbols + 8


@pytest.mark.parametrize("kind", ["uniform", "random", "certain"])
def test_ten_thousand_symbols(kind):
    row, symbols = message(kind, 10, 1024)[0], message(kind, 1000, 1024)[1].repeat(10)
    cdfs = row[np.arange(10_000) % 10]
    parts = parts_of(cdfs, symbols)
    data = encode(parts)
    assert data == textbook(parts)
    assert decode(data, cdfs)[0] == symbols.tolist()


def test_ten_thousand_drawn_symbols_cost_what_they_should():
    random = np.random.default_rng(1)
    cdf = quantised_cdf(random.dirichlet(np.full(1024, 0.3)).astype(np.float32))
    symbols = np.searchsorted(cdf, random.integers(0, cdf[-1], 10_000), side="right")
    parts = parts_of(cdf[None], symbols)
    assert ideal_bits(parts) - 16 < 8 * len(encode(parts, shortest=True)) <= 8 * len(encode(parts)) \
        <= ideal_bits(parts) + 32


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("n_symbols", [2, 3, 10, 100])
def test_straddling_of_any_length(n_symbols, above):
    cdfs, symbols = straddle(n_symbols, above)
    parts = parts_of(cdfs, symbols)
    before, after = ArithmeticEncoder(), ArithmeticEncoder()
    for i, part in enumerate(parts):
        after.push(*part)
        if i < n_symbols - 1:
            before.push(*part)
    still_open = before.n_bits - 40  # the last few digits are no part of the chain
    assert n_symbols < 100 or still_open > 900
    if still_open > 0:
        assert f"{before.low:0{before.n_bits}b}"[:still_open] == "0" + "1" * (still_open - 1)
        expected = "1" + "0" * (still_open - 1) if above else "0" + "1" * (still_open - 1)
        assert f"{after.low:0{after.n_bits}b}"[:still_open] == expected
    data = encode(parts)
    assert data == textbook(parts)
    assert decode(data, cdfs)[0] == symbols.tolist()
    assert decode(encode(parts, shortest=True), cdfs)[0] == symbols.tolist()


def test_a_whole_chain_ends_in_one_byte_if_that_will_do():
    cdfs, symbols = straddle(100, above=True)
    parts = parts_of(cdfs, symbols)[:-1]  # 1/2 still inside
    assert len(encode(parts)) > 100 and encode(parts, shortest=True) == b"\x01"


@given(st.lists(st.tuples(st.integers(0, TOTAL - 2), st.integers(2, TOTAL)), max_size=40), st.booleans())
def test_any_units_come_back(pairs, shortest):
    parts = [(start, min(start + size, TOTAL)) for start, size in pairs]
    data = encode(parts, shortest)
    if not shortest:
        assert data == textbook(parts)
    # Neighbours may own a single unit or none here: the decoder needs only the bounds in between.
    cdfs = [[start, stop, TOTAL] for start, stop in parts]
    assert decode(data, cdfs)[0] == [1] * len(parts)
    extra = 8 * len(data) - sum(25 if stop - start == 2 else ideal_bits([(start, stop)], less=2)
                                for start, stop in parts)
    assert extra <= (8 if shortest else 32)


def test_shortest_is_the_shortest():
    """No number of fewer bytes lies in the interval."""
    random = np.random.default_rng(2)
    for _ in range(300):
        encoder = ArithmeticEncoder()
        for _ in range(random.integers(1, 5)):
            start, size = random.integers(0, TOTAL - 2), int(2 ** random.uniform(1, 24))
            encoder.push(int(start), int(min(start + size, TOTAL)))
        size = len(encoder.finish(shortest=True))
        if size:
            step = 1 << encoder.n_bits - 8 * (size - 1)  # between two numbers of one byte less
            assert -(-encoder.low // step) * step >= encoder.low + encoder.width


def test_impossible_states_are_found():
    with pytest.raises(ValueError, match="impossible state"):  # beyond the last symbol
        ArithmeticDecoder(b"\xff" * 4).pull([100, 200])
    data, cdfs = gap()
    decoder = ArithmeticDecoder(data)
    assert [decoder.pull(cdfs[0]), decoder.pull(cdfs[1])] == [0, 0]
    with pytest.raises(ValueError, match="impossible state"):
        decoder.pull(cdfs[2])


@pytest.mark.parametrize("start, stop", [(-1, 5), (3, 3), (3, 4), (5, 3), (0, TOTAL + 1), (TOTAL - 1, TOTAL)])
def test_too_few_units_are_refused(start, stop):
    with pytest.raises(ValueError, match=f"expected 2 or more from 0 to {TOTAL}, got {start} to {stop}"):
        ArithmeticEncoder().push(start, stop)


# ---- cumulative distributions ------------------------------------------------------------------------


def scalar_cdf(p):
    """The formula, one float32 operation after the other."""
    total, cdf = 0, []
    for value in p:
        steps = np.float32(math.floor(value / np.float32(1e-8)))
        total += 2 + math.floor(np.float32(TOTAL - 2 * len(p)) * (steps * np.float32(1e-8)))
        cdf.append(total)
    return cdf


@pytest.mark.parametrize("n_entries", [2, 3, 64, 1024, MAX_SYMBOLS])
def test_quantised_cdf_equals_the_formula(n_entries):
    random = np.random.default_rng(n_entries)
    rows = [random.dirichlet(np.full(n_entries, a)) for a in (0.01, 0.1, 1, 10)] + [np.full(n_entries, 1 / n_entries)]
    p = (np.array(rows) * (1 - 1e-6)).astype(np.float32)  # so that none has too many units
    p[-1] = 0
    p[-1, -1] = 1
    cdf = quantised_cdf(p)
    assert cdf.dtype == np.int32 and cdf.tolist() == [scalar_cdf(row) for row in p]
    assert cdf[-1, -1] == TOTAL and (np.diff(cdf, axis=1, prepend=0) >= 2).all()
    twin = np.empty_like(cdf)
    assert _quantise_naive(p, twin) == -1 and (twin == cdf).all()
    assert (quantised_cdf(p[:4].reshape(2, 2, -1)) == cdf[:4].reshape(2, 2, -1)).all() and (
        quantised_cdf(p[0]) == cdf[0]).all()


def test_rounding_may_not_make_too_many_units():
    """Where the sum of the units is above 2^24, only the most probable symbol, the first of them, has fewer."""
    random = np.random.default_rng(3)
    p = random.dirichlet(np.full(3, 0.5), 2000).astype(np.float32)
    plain = np.array([scalar_cdf(row) for row in p])
    excess = plain[:, -1] - TOTAL
    assert 10 < (excess > 0).sum() < 400 and excess.max() < 5
    cdf = quantised_cdf(p)
    assert (cdf[:, -1] == np.minimum(plain[:, -1], TOTAL)).all()
    less = np.diff(plain, axis=1, prepend=0) - np.diff(cdf, axis=1, prepend=0)
    assert (less[np.arange(len(p)), p.argmax(axis=1)] == np.maximum(excess, 0)).all()
    assert (less.sum(axis=1) == np.maximum(excess, 0)).all()
    twin = np.empty_like(cdf)
    assert _quantise_naive(p, twin) == -1 and (twin == cdf).all()


@pytest.mark.parametrize("row", [[0.5, np.nan], [1.5, -0.5], [-1e-9, 1], [0.5, 0.6], [0.5, 0.50001], [np.inf, 0],
                                 [3e38, 3e38], [-np.inf, 1]])
def test_what_is_no_distribution_is_refused(row):
    p = np.array([[0.5, 0.5], row], np.float32)
    with pytest.raises(ValueError, match="expected numbers of at least 0 with a sum of 1, got "):
        quantised_cdf(p)
    assert _quantise_naive(p, np.empty((2, 2), np.int32)) == 1


@pytest.mark.parametrize("p", [np.ones(1, np.float32), np.ones(MAX_SYMBOLS + 1, np.float32), np.ones(2),
                               np.float32(1), np.ones((3, 0), np.float32)])
def test_other_sizes_and_types_are_refused(p):
    with pytest.raises(ValueError, match="probabilities: expected float32"):
        quantised_cdf(p)


def test_no_rows():
    assert quantised_cdf(np.zeros((0, 5), np.float32)).shape == (0, 5)


def test_bounds():
    cdf = np.array([[2, 10, 20], [5, 7, 30]], np.int32)
    start, stop = bounds(cdf, np.array([0, 2], np.uint8))  # no wrap-around below 0
    assert (start.tolist(), stop.tolist()) == ([0, 7], [2, 30]) and start.dtype == stop.dtype == np.int64
    start, stop = bounds(cdf[None], np.array([[1, 1], [2, 0], [0, 1]]))  # one distribution for many frames
    assert start.tolist() == [[2, 5], [10, 0], [0, 5]] and stop.tolist() == [[10, 7], [20, 5], [2, 7]]
