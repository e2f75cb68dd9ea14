"""The compiled coder against its definition in `arithmetic`: the same bytes, the same symbols, the same state."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.messages import gap, message, parts_of, straddle
from tinyencodec.entropy.arithmetic import MAX_SYMBOLS, TOTAL, ArithmeticDecoder, ArithmeticEncoder, bounds
from tinyencodec.entropy.arithmetic_compiled import LaneDecoder, encode_symbols


def reference(cdfs, symbols, shortest):
    encoder = ArithmeticEncoder()
    for start, stop in parts_of(cdfs, symbols):
        encoder.push(start, stop)
    return encoder.finish(shortest)


def check_message(cdfs, symbols):
    for shortest in (False, True):
        data = encode_symbols(*bounds(cdfs, symbols), shortest)
        assert data == reference(cdfs, symbols, shortest)
        decoder = LaneDecoder([data])
        assert decoder.pull(cdfs[None] if len(cdfs) else np.zeros((1, 1, 2), np.int32), len(cdfs)).tolist() \
            == [symbols.tolist()]
        decoder.check()
        assert shortest or -(-decoder.position[0] // 8) == len(data)


@pytest.mark.parametrize("n_entries", [2, 3, 10, 1024, MAX_SYMBOLS])
@pytest.mark.parametrize("kind", ["uniform", "random", "certain", "rare"])
@pytest.mark.parametrize("n_symbols", [0, 1, 2, 10, 200])
def test_size_ladder(kind, n_symbols, n_entries):
    check_message(*message(kind, n_symbols, n_entries))


def test_ten_thousand_symbols():
    cdfs, symbols = message("random", 100, 64)
    rows = np.random.default_rng(0).integers(0, 100, 10_000)
    check_message(cdfs[rows], symbols[rows])


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("n_symbols", [*range(2, 12), 300])
def test_carries_of_any_length(n_symbols, above):
    for seed in range(5):
        cdfs, symbols = straddle(n_symbols, above, seed)
        check_message(cdfs, symbols)
        check_message(cdfs[:-1], symbols[:-1])  # here the shortest form is what carries


@given(st.lists(st.tuples(st.integers(0, TOTAL - 2), st.integers(2, TOTAL)), max_size=40), st.booleans())
def test_any_units_give_the_same_bytes(pairs, shortest):
    encoder, start = ArithmeticEncoder(), np.array([start for start, _ in pairs], np.int64)
    stop = np.minimum(start + np.array([size for _, size in pairs], np.int64), TOTAL)
    for part in zip(start.tolist(), stop.tolist()):
        encoder.push(*part)
    assert encode_symbols(start, stop, shortest) == encoder.finish(shortest)


@pytest.mark.parametrize("start, stop", [(-1, 5), (3, 4), (5, 3), (0, TOTAL + 1)])
def test_too_few_units_are_refused(start, stop):
    with pytest.raises(ValueError, match=f"symbol 1: expected 2 or more from 0 to {TOTAL}, got {start} to {stop}"):
        encode_symbols(np.array([0, start]), np.array([2, stop]))


@st.composite
def lanes(draw):
    """Messages of K symbols in each of equally many steps, some cut or spoilt."""
    n_rows, n_entries, n_steps = draw(st.integers(1, 3)), draw(st.integers(2, 9)), draw(st.integers(0, 8))
    payloads, cdfs = [], []
    for lane in range(draw(st.integers(1, 5))):
        cdf, symbol = message(draw(st.sampled_from(["random", "certain"])), n_steps * n_rows, n_entries, lane)
        cdf[:, -1] -= cdf[:, -1] - cdf[:, -2] - 2  # the last few units are nobody's, so that spoilt data may show
        data = encode_symbols(*bounds(cdf, symbol % (n_entries - 1)), shortest=True)
        if draw(st.integers(0, 3)) == 0:
            data = data[:draw(st.integers(0, len(data)))] + draw(st.binary(max_size=3)) + b"\xff" * 9
        elif draw(st.integers(0, 3)) == 0:
            data = data[:draw(st.integers(0, len(data)))]
        payloads.append(data)
        cdfs.append(cdf.reshape(n_steps, n_rows, n_entries))
    return payloads, cdfs


def alone(data, cdfs):
    """By the definition: (symbols, zeros from where no more could be had; bits read; whether `check` is content)."""
    decoder, symbols, fine = ArithmeticDecoder(data), [], True
    try:
        for cdf in cdfs:
            symbols.append(decoder.pull(cdf))
    except ValueError:
        fine = False
    fine = fine and len(data) <= -(-decoder.position // 8)
    return symbols + [0] * (len(cdfs) - len(symbols)), decoder.position, fine


def is_content(decoder):
    try:
        decoder.check()
    except ValueError as error:
        assert str(error).startswith(("impossible state", "coded bits: expected at most"))
        return False
    return True


@given(lanes())
def test_lanes_equal_one_message_after_the_other(case):
    """Each call goes on with all lanes; damage in one does no harm to another."""
    payloads, cdfs = case
    decoder, found = LaneDecoder(payloads), [[] for _ in payloads]
    for step in range(len(cdfs[0])):
        for lane, row in enumerate(decoder.pull(np.stack([rows[step] for rows in cdfs]))):
            found[lane] += row.tolist()
    expected = [alone(data, rows.reshape(-1, rows.shape[2])) for data, rows in zip(payloads, cdfs)]
    assert [*zip(found, decoder.position)] == [(symbols, position) for symbols, position, _ in expected]
    assert is_content(decoder) == all(fine for _, _, fine in expected)


def test_every_truncation_and_every_flip_ends_as_in_the_definition():
    cdfs, symbols = message("random", 20, 30)
    cdfs[:, -1] = cdfs[:, -2] + 2
    symbols %= 29
    data = encode_symbols(*bounds(cdfs, symbols), shortest=True)
    broken = [data[:size] for size in range(len(data))]
    broken += [bytes(byte ^ (i // 8 == at) << i % 8 for at, byte in enumerate(data)) for i in range(8 * len(data))]
    together, ends = LaneDecoder(broken).pull(np.broadcast_to(cdfs, (len(broken), *cdfs.shape))), set()
    for found, spoilt in zip(together, broken):
        decoder = LaneDecoder([spoilt])
        expected, position, fine = alone(spoilt, cdfs)
        assert found.tolist() == decoder.pull(cdfs[None])[0].tolist() == expected
        assert decoder.position[0] == position and is_content(decoder) == fine
        ends.add(fine)
    assert ends == {True, False}


def test_a_number_between_two_symbols_is_impossible():
    data, cdfs = gap()
    decoder = LaneDecoder([data, data])
    assert decoder.pull(np.stack([cdfs, cdfs]), 2).tolist() == [[0, 0], [0, 0]]
    decoder.check()
    decoder.pull(np.array([[[TOTAL // 2, TOTAL]], [cdfs[2]]], np.int32))
    with pytest.raises(ValueError, match="impossible state"):
        decoder.check()


def test_rows_are_used_in_turn():
    """Of K distributions, symbol i has number i % K, over any number of symbols and calls that are whole rounds."""
    cdfs, _ = message("random", 3, 20)
    symbols = np.random.default_rng(5).integers(0, 20, (50, 3))
    data = encode_symbols(*(side.ravel() for side in bounds(cdfs[None], symbols)), True)
    decoder, found = LaneDecoder([data]), []
    for n_rounds in (0, 1, 20, 29):
        found += decoder.pull(cdfs[None], 3 * n_rounds)[0].tolist()
    assert found == symbols.ravel().tolist()


def test_no_lanes():
    decoder = LaneDecoder([])
    assert decoder.pull(np.zeros((0, 2, 5), np.int32)).shape == (0, 2) and decoder.position.shape == (0,)
