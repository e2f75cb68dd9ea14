"""Residual vector quantisation against the definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.codec.rvq import ResidualVectorQuantizer


def naive_encode(z, codebooks):
    residual, codes = z.astype(np.float64), []
    for entries in codebooks:
        distance = np.square(residual[:, None] - entries[None]).sum(axis=2)  # [F, N]
        codes.append(distance.argmin(axis=1))
        residual = residual - entries[codes[-1]]
    return np.array(codes)


@given(st.integers(1, 300), st.integers(1, 4), st.sampled_from([2, 8, 64]), st.integers(1, 9),
       st.integers(0, 2**32 - 1))
def test_encode_takes_the_nearest_entry(frames, k, entries, size, seed):
    random = np.random.default_rng(seed)
    # Multiples of 1/8 keep every distance exact in float32, so ties are true ties: the lowest index wins.
    codebooks = [random.integers(-16, 16, (entries, size)).astype(np.float32) / 8 for _ in range(k)]
    z = random.integers(-32, 32, (frames, size)).astype(np.float32) / 8
    rvq = ResidualVectorQuantizer(codebooks)
    codes = rvq.encode(z)
    np.testing.assert_array_equal(codes, naive_encode(z, codebooks))
    np.testing.assert_array_equal(rvq.encode(z, 1), codes[:1])
    np.testing.assert_array_equal(rvq.decode(codes), sum(book[row] for book, row in zip(codebooks, codes)))


def test_each_codebook_brings_the_sum_closer():
    random = np.random.default_rng(0)
    z = random.standard_normal((500, 4)).astype(np.float32)
    codebooks = [(random.standard_normal((64, 4)) / 2**k).astype(np.float32) for k in range(4)]
    rvq = ResidualVectorQuantizer(codebooks)
    codes = rvq.encode(z)
    errors = [np.square(z - rvq.decode(codes[:k])).mean() for k in range(1, 5)]
    assert all(later < earlier / 1.5 for earlier, later in zip(errors, errors[1:]))


def test_empty():
    rvq = ResidualVectorQuantizer([np.zeros((2, 3), np.float32)])
    assert rvq.encode(np.zeros((0, 3), np.float32)).shape == (1, 0)
    assert rvq.decode(np.zeros((1, 0), int)).shape == (0, 3)
