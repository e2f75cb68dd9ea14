"""The coder and the distributions against those of the official package: the same integers, the same bytes."""

import importlib.util
import io
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.messages import message, straddle
from tinyencodec.entropy.arithmetic import ArithmeticDecoder, bounds, quantised_cdf
from tinyencodec.entropy.arithmetic_compiled import LaneDecoder, encode_symbols

from . import oracles
from .report import LINES

official = importlib.import_module("encodec.quantization.ac")
assert oracles.official_ecdc  # imported first, with the stand-in that it needs


def without_asserts():
    """The official module, compiled as by `python -O`: it asserts that no straddle is longer than 61 digits."""
    spec = importlib.util.find_spec("encodec.quantization.ac")
    module = types.ModuleType(spec.name)
    module.__package__ = spec.parent
    exec(compile(Path(spec.origin).read_text(), spec.origin, "exec", optimize=1), module.__dict__)
    return module


def official_bytes(package, cdfs, symbols):
    fo = io.BytesIO()
    coder = package.ArithmeticCoder(fo)
    for symbol, cdf in zip(symbols.tolist(), cdfs):
        coder.push(symbol, torch.from_numpy(cdf))
    coder.flush()
    return fo.getvalue()


def check_both_ways(package, cdfs, symbols):
    data = encode_symbols(*bounds(cdfs, symbols))
    assert data == official_bytes(package, cdfs, symbols)
    decoder = package.ArithmeticDecoder(io.BytesIO(data))
    assert [decoder.pull(torch.from_numpy(cdf)) for cdf in cdfs] == symbols.tolist()
    return data


@pytest.mark.parametrize("n_entries", [2, 3, 10, 1024, 4096])
@pytest.mark.parametrize("kind", ["uniform", "random", "certain"])
@pytest.mark.parametrize("n_symbols", [0, 1, 2, 10, 300])
def test_bytes(kind, n_symbols, n_entries):
    check_both_ways(official, *message(kind, n_symbols, n_entries))


@pytest.mark.parametrize("n_entries", [2, 1024])
def test_bytes_of_the_rarest_symbols(n_entries):
    check_both_ways(without_asserts(), *message("rare", 100, n_entries))


@pytest.mark.parametrize("above", [False, True])
def test_bytes_of_long_straddles(above):
    """Hundreds of digits that stay open: the official program gives up, but its rule goes on, and ours is the same."""
    cdfs, symbols = straddle(60, above)
    with pytest.raises(AssertionError):
        official_bytes(official, cdfs, symbols)
    check_both_ways(without_asserts(), cdfs, symbols)


def test_decoders_read_as_far():
    """Not only the same symbols: the same state after each, and the same bits read."""
    cdfs, symbols = message("random", 200, 64)
    data = official_bytes(official, cdfs, symbols)
    fo = io.BytesIO(data + b"\x55" * 9)
    theirs, ours, lanes = official.ArithmeticDecoder(fo), ArithmeticDecoder(data + b"\x55" * 9), LaneDecoder([data])
    for cdf, symbol in zip(cdfs, symbols.tolist()):
        assert theirs.pull(torch.from_numpy(cdf)) == ours.pull(cdf) == lanes.pull(cdf[None, None])[0, 0] == symbol
        assert fo.tell() == -(-ours.position // 8) and lanes.position[0] == ours.position
        assert theirs.current - theirs.low == ours.offset and theirs.delta == ours.width
    assert fo.tell() == len(data)


def distributions(n_rows):
    """Softmaxes from flat to certain, sparse ones, one-hot ones, and floats just below a multiple of 1e-8."""
    random = np.random.default_rng(7)
    for i in range(n_rows):
        n_entries = int(random.choice([2, 3, 7, 64, 1000, 1024, 4096]))
        logits = random.standard_normal(n_entries).astype(np.float32) * random.choice([0, 0.1, 1, 3, 10, 30, 100])
        p = torch.softmax(torch.from_numpy(logits.astype(np.float32)), 0).numpy()
        if i % 5 == 1:
            p = random.dirichlet(np.full(n_entries, 0.01)).astype(np.float32)
        elif i % 5 == 2:
            p = np.eye(1, n_entries, random.integers(n_entries), dtype=np.float32)[0]
        elif i % 5 == 3:
            p = (np.float32(1e-8) * random.integers(0, 2 * 10 ** 8 // n_entries, n_entries)).astype(np.float32)
            p /= np.float32(max(p.sum(dtype=np.float64), 1))
            p = np.nextafter(p, np.float32(random.integers(2)))
        yield p


def test_distributions():
    """Equal integers wherever the official function has any; elsewhere ours differ from its sum by the excess alone."""
    equal = refused = 0
    for p in distributions(4000):
        theirs = official.build_stable_quantized_cdf(torch.from_numpy(p), 24, check=False).numpy()
        if theirs[-1] <= 1 << 24:
            official.build_stable_quantized_cdf(torch.from_numpy(p), 24)
            assert (quantised_cdf(p) == theirs).all()
            equal += 1
            continue
        with pytest.raises(AssertionError):
            official.build_stable_quantized_cdf(torch.from_numpy(p), 24)
        refused += 1
        less = np.diff(theirs, prepend=0) - np.diff(quantised_cdf(p), prepend=0)
        assert less[p.argmax()] == theirs[-1] - (1 << 24) == less.sum() and np.count_nonzero(less) == 1
    assert equal > 3500
    LINES.append(f"cumulative distributions: {equal} of {equal} equal, and {refused} that the official program refuses")
