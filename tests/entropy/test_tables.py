"""Static tables: integers that any machine gets, codes that come back, files that are checked, bits that are saved."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tinyencodec.entropy import tables
from tinyencodec.entropy.arithmetic import TOTAL, bounds
from tinyencodec.entropy.tables import (
    TableCoder,
    load_tables,
    table_cdf,
    tables_id,
)
from tinyencodec.models.store import DEFAULT_MODEL, find_model, load_model
from tinyencodec.train.tables import count_codes, fit_tables, save_tables


def some_tables(n_codebooks=3, n_entries=20, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n_codebooks, n_entries)).astype(np.uint8)


def some_codes(n_codebooks, n_frames, n_entries, seed=0):
    return np.random.default_rng(seed).integers(0, n_entries, (n_codebooks, n_frames))


def test_powers_of_two_are_rounded_down():
    for j, power in enumerate(tables._POWERS.tolist()):
        assert power ** 16 <= 2 ** (480 - j) < (power + 1) ** 16


@given(st.lists(st.binary(min_size=7, max_size=7), min_size=1, max_size=4))
def test_units_equal_the_formula_in_unbounded_integers(rows):
    cdf = table_cdf(np.array([list(row) for row in rows], np.uint8))
    for row, total in zip(rows, cdf.tolist()):
        weights = [int(tables._POWERS[c % 16]) >> c // 16 for c in row]
        units = [2 + (TOTAL - 14) * weight // sum(weights) for weight in weights]
        assert total == [sum(units[:n + 1]) for n in range(7)]


@pytest.mark.parametrize("n_entries", [2, 3, 1024, 4096])
@pytest.mark.parametrize("length", [0, 1, 128, 255])
def test_any_bytes_make_usable_tables(length, n_entries):
    lengths = np.full((2, n_entries), length, np.uint8)
    lengths[1, 0] = 255 - length
    cdf = table_cdf(lengths)
    assert cdf.dtype == np.int32 and (np.diff(cdf, axis=1, prepend=0) >= 2).all()
    assert (cdf[:, -1] <= TOTAL).all() and (cdf[:, -1] > TOTAL - n_entries).all()


def test_golden_integers_and_bytes():
    """A change here makes files unreadable that were written before."""
    lengths = (np.arange(2 * 50).reshape(2, 50) * 37 % 256).astype(np.uint8)
    assert tables_id(lengths) == "627b186daf57034c"
    assert hashlib.sha256(table_cdf(lengths).astype("<i4").tobytes()).hexdigest()[:16] == "e93eddd0367d6a6e"
    codes = np.arange(2 * 6).reshape(2, 6) * 7 % 50
    assert TableCoder(lengths).encode([codes])[0].hex() == "383fd4369f67"


def test_identity_is_in_sizes_and_bytes():
    lengths = some_tables(4, 6)
    changed = lengths.copy()
    changed[3, 5] ^= 1
    ids = [tables_id(table) for table in (lengths, changed, lengths.reshape(3, 8), lengths[:3])]
    assert len(set(ids)) == 4 and all(len(name) == 16 and int(name, 16) >= 0 for name in ids)
    assert TableCoder(np.asfortranarray(lengths)).id == ids[0]


# ---- fitting -----------------------------------------------------------------------------------------


def test_counts():
    codes = np.array([[0, 1, 1, 3], [2, 2, 2, 2]], np.int16)
    assert count_codes(codes, 4).tolist() == [[1, 2, 0, 1], [0, 0, 4, 0]]
    assert count_codes(codes[:, :0], 4).tolist() == [[0] * 4] * 2


def test_code_lengths_are_those_of_the_smoothed_frequencies():
    # (3.5, 0.5) of 4: 0.193 and 3 bits; nothing seen: 1 bit each; 0.5 of 10^6 + 1: beyond the longest
    assert fit_tables(np.array([[3, 0], [0, 0], [10 ** 6, 0]])).tolist() == [[3, 48], [16, 16], [0, 255]]


def test_fitted_tables_come_close_to_the_entropy():
    random = np.random.default_rng(1)
    p = random.dirichlet(np.full(256, 0.3), 2)
    codes = np.stack([random.choice(256, 5_000, p=row) for row in p])
    coder = TableCoder(fit_tables(count_codes(codes, 256)))
    frequencies = count_codes(codes, 256) / 5_000
    entropy = -5_000 * (frequencies * np.log2(np.where(frequencies > 0, frequencies, 1))).sum(axis=1)
    costs = coder.costs(codes)
    assert (entropy < costs).all() and (costs < 1.015 * entropy).all()
    assert costs.sum() - 16 < 8 * len(coder.encode([codes])[0]) <= costs.sum() + 9  # zeros at the end may save some
    assert costs.sum() < 0.9 * 8 * codes.size


@pytest.mark.parametrize("counts, message", [
    (np.zeros(5, int), "shape"), (np.zeros((0, 5), int), "shape"), (np.zeros((1, 1), int), "shape"),
    (np.zeros((1, 4097), int), "shape"), (np.zeros((2, 2)), "integers of at least 0, got float64"),
    (np.array([[3, -1]]), "integers of at least 0, got int64 from -1")])
def test_what_are_no_counts_is_refused(counts, message):
    with pytest.raises(ValueError, match=f"counts: expected {message}"):
        fit_tables(counts)


# ---- coding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_codebooks, n_entries", [(1, 2), (3, 20), (32, 1024), (2, 4096)])
@pytest.mark.parametrize("n_frames", [0, 1, 2, 10, 300])
def test_codes_come_back(n_codebooks, n_entries, n_frames):
    lengths = some_tables(n_codebooks, n_entries)
    coder = TableCoder(lengths)
    blocks = [some_codes(k, n_frames + k, n_entries, k) for k in {1, n_codebooks}]
    payloads = coder.encode(blocks)
    for codes, data in zip(blocks, payloads):
        back, = coder.decode([(data, codes.shape[1])], len(codes))
        assert back.dtype == np.int64 and back.flags.c_contiguous and (back == codes).all()
        start, stop = bounds(table_cdf(lengths)[None, :len(codes)], codes.T)
        units = stop - start
        assert np.allclose(coder.costs(codes), (24 - np.log2(units)).sum(axis=0))
        assert 8 * len(data) <= np.where(units > 2, 24 - np.log2(np.maximum(units - 2, 1)), 25).sum() + 8
    again = coder.decode([(payloads[0], blocks[0].shape[1])] * 2, len(blocks[0]))
    assert len(again) == 2 and (again[1] == blocks[0]).all()


def test_no_frames_take_no_bytes():
    coder = TableCoder(some_tables())
    assert coder.encode([np.zeros((2, 0), int)]) == [b""] and coder.decode([(b"", 0)], 2)[0].shape == (2, 0)
    assert coder.encode([]) == coder.decode([], 2) == []


@given(st.integers(1, 4), st.integers(0, 30), st.integers(0, 2 ** 32))
def test_any_tables_and_codes_come_back(n_codebooks, n_frames, seed):
    coder = TableCoder(some_tables(4, 9, seed))
    codes = some_codes(n_codebooks, n_frames, 9, seed).astype(np.uint16)
    back, = coder.decode([(coder.encode([codes])[0], n_frames)], n_codebooks)
    assert (back == codes).all()


def test_frames_follow_one_another():
    """So the first frames of a longer block are coded alike, as far as bytes are complete."""
    coder, codes = TableCoder(some_tables()), some_codes(3, 100, 20)
    short, long = coder.encode([codes[:, :50], codes])
    assert long[:len(short) - 4] == short[:len(short) - 4]


@pytest.mark.parametrize("codes, message", [
    (np.zeros((4, 2), int), r"shape \[1 ... 3, F\], got \[4, 2\]"), (np.zeros((0, 2), int), "shape"),
    (np.zeros(3, int), "shape"), (np.zeros((2, 2)), "integers, got dtype.*float64"),
    (np.array([[0, 20]]), r"0 ... 19, got \[0, 20\]"), (np.array([[-1, 5]]), r"0 ... 19, got \[-1, 5\]")])
def test_other_codes_are_refused(codes, message):
    coder = TableCoder(some_tables())
    for work in (lambda: coder.encode([codes]), lambda: coder.costs(codes)):
        with pytest.raises(ValueError, match=f"codes: expected {message}"):
            work()


@pytest.mark.parametrize("n_codebooks", [0, 4])
def test_more_codebooks_than_tables_are_refused(n_codebooks):
    with pytest.raises(ValueError, match=f"codebooks: expected 1 to 3 with these tables, got {n_codebooks}"):
        TableCoder(some_tables()).decode([(b"", 0)], n_codebooks)


def test_bytes_that_are_no_code_are_refused():
    coder, codes = TableCoder(some_tables()), some_codes(3, 10, 20)
    data, = coder.encode([codes])
    with pytest.raises(ValueError, match="coded bits: expected at most .* bytes, got"):
        coder.decode([(data + b"\1\1\1\1", 10)], 3)
    with pytest.raises(ValueError, match="impossible state"):  # beyond the last entry's last unit
        coder.decode([(b"\xff" * len(data), 10)], 3)


def test_damage_ends_in_an_error_or_in_codes():
    coder, codes = TableCoder(some_tables()), some_codes(3, 10, 20)
    data, = coder.encode([codes])
    broken = [data[:size] for size in range(len(data))]
    broken += [bytes(byte ^ (i // 8 == at) << i % 8 for at, byte in enumerate(data)) for i in range(8 * len(data))]
    for spoilt in broken:
        try:
            back, = coder.decode([(spoilt, 10)], 3)
        except ValueError:
            continue
        assert back.shape == (3, 10) and 0 <= back.min() and back.max() < 20


@pytest.mark.parametrize("wrong", [np.zeros((2, 5), np.int16), np.zeros(5, np.uint8), np.zeros((2, 1), np.uint8),
                                   np.zeros((0, 5), np.uint8), np.zeros((1, 5000), np.uint8)])
def test_other_tables_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="tables: expected"):
        TableCoder(wrong)
    with pytest.raises(ValueError, match="tables: expected"):
        save_tables(tmp_path / "t.safetensors", wrong)
    assert not list(tmp_path.iterdir())


# ---- files -------------------------------------------------------------------------------------------


def test_files(tmp_path):
    lengths = some_tables()
    save_tables(tmp_path, lengths[:, ::-1])
    save_tables(tmp_path, lengths)  # replaces
    back = load_tables(tmp_path)
    assert back.dtype == np.uint8 and (back == lengths).all() and back.flags.writeable
    assert [file.name for file in tmp_path.iterdir()] == ["tables.safetensors"]
    assert (load_tables(tmp_path / "tables.safetensors") == lengths).all()


@pytest.mark.parametrize("tensors, message", [
    ({"code_lengths": np.zeros((2, 5), np.int8)}, "one tensor 'code_lengths' uint8, got 'code_lengths' int8"),
    ({"other": np.zeros((2, 5), np.uint8)}, "one tensor 'code_lengths' uint8, got 'other' uint8"),
    ({"code_lengths": np.zeros((2, 5), np.uint8), "b": np.zeros(1, np.uint8)}, "one tensor"),
    ({}, "one tensor 'code_lengths' uint8, got none"),
    ({"code_lengths": np.zeros((2, 1), np.uint8)}, r"code_lengths: expected shape \[1 or more, 2 to 4096\], got")])
def test_files_of_something_else_are_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "tables.safetensors")
    with pytest.raises(ValueError, match=f"tables.safetensors: .*{message}"):
        load_tables(tmp_path)


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tables(tmp_path)
    save_tables(tmp_path, some_tables())
    data = (tmp_path / "tables.safetensors").read_bytes()
    for size in (0, 7, 20, len(data) - 1):
        (tmp_path / "tables.safetensors").write_bytes(data[:size])
        with pytest.raises(ValueError, match="expected a whole safetensors file"):
            load_tables(tmp_path)


def test_the_bundled_model_has_tables():
    lengths = load_tables(find_model(DEFAULT_MODEL))
    model = load_model(DEFAULT_MODEL)
    assert lengths.shape == (model.n_codebooks, model.config.codebook_size)
    sound = np.sin(np.arange(24_000) ** 1.5 / 9000, dtype=np.float32)[None]
    codes = model.encode(0.3 * sound, 6.0)[0].codes
    coder = TableCoder(lengths)
    payload, = coder.encode([codes])
    assert (coder.decode([(payload, codes.shape[1])], len(codes))[0] == codes).all()
