"""Messages for the tests of the arithmetic coder: distributions and the symbols to code with them."""

import numpy as np

from tinyencodec.entropy.arithmetic import TOTAL, ArithmeticEncoder, bounds, quantised_cdf


def message(kind, n_symbols, n_entries, seed=0):
    """cdfs int32 [S, N] and symbols [S], drawn from them unless `kind` is "rare", where each is the rarest."""
    random = np.random.default_rng((seed, n_symbols, n_entries))
    if kind == "uniform":
        p = np.full((n_symbols, n_entries), 1 / n_entries)
    elif kind == "random":  # a different one for each symbol
        p = random.dirichlet(np.ones(n_entries), max(n_symbols, 1))[:n_symbols]
    else:  # all of the probability on one entry: the others own 2 units of 2^24
        p = np.zeros((n_symbols, n_entries))
        p[:, n_entries // 2] = 1
    cdfs = quantised_cdf(p.astype(np.float32))
    if kind == "rare":
        return cdfs, np.full(n_symbols, n_entries - 1 if n_entries > 2 else 0)
    units = random.integers(0, cdfs[:, -1:], (n_symbols, 1))
    return cdfs, (cdfs <= units).sum(axis=1)


def parts_of(cdfs, symbols):
    return list(zip(*(side.tolist() for side in bounds(cdfs, symbols))))


def straddle(n_symbols, above, seed=0):
    """A message of three-symbol distributions whose interval has 1/2 inside until the last symbol decides.

    Until then no digit is settled: those of `low` are 0111..., those of its end 1000... The last symbol lies wholly
    above 1/2, which carries through all of them, or wholly below.
    """
    random, encoder, cdfs = np.random.default_rng(seed), ArithmeticEncoder(), []
    for i in range(n_symbols):
        while encoder.width < TOTAL:
            encoder.low, encoder.width, encoder.n_bits = 2 * encoder.low, 2 * encoder.width, encoder.n_bits + 1
        middle = ((1 << encoder.n_bits - 1) - encoder.low) * TOTAL // encoder.width
        units = int(2 ** random.uniform(5, 20))
        start = middle - units // 2
        if i == n_symbols - 1:
            start = middle + 2 if above else middle - units - 2
        cdfs.append([start, start + units, TOTAL])
        assert 2 <= start and start + units <= TOTAL - 2
        encoder.push(start, start + units)
    return np.array(cdfs, np.int32), np.ones(n_symbols, np.int64)


def gap():
    """Bytes and distributions int32 [3, 2] such that, after two symbols 0, the number lies between two symbols."""
    cdfs = np.array([[3 * TOTAL // 4 + 12345, TOTAL], [TOTAL - 7, TOTAL - 2], [0, TOTAL]], np.int32)
    encoder = ArithmeticEncoder()
    encoder.push(0, int(cdfs[0, 0]))
    encoder.push(0, int(cdfs[1, 0]))  # now the width is no power of two, and above 2^24
    width = encoder.width
    cut = next(c for c in range(1000, 2000) if c * width // TOTAL - (c - 1) * width // TOTAL == 2 and c * width % TOTAL)
    cdfs[2, 0] = cut
    number = encoder.low + cut * width // TOTAL  # after the last of symbol 0, before the first of symbol 1
    bits = [number >> i & 1 for i in reversed(range(encoder.n_bits))]
    return np.packbits(bits, bitorder="little").tobytes(), cdfs
