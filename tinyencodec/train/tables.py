"""Fit the static tables of a model (`entropy.tables`) to recordings.

    python -m tinyencodec.train.tables MODEL_FOLDER AUDIO...    writes `tables.safetensors` to the folder
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tinyencodec.audio.files import read_audio
from tinyencodec.codec.model import EncodecModel
from tinyencodec.entropy.tables import TENSOR, TableCoder, check_shape, table_file, tables_id
from tinyencodec.models.store import load_model
from tinyencodec.system.errors import check_codes
from tinyencodec.system.files import atomic_write
from tinyencodec.system.model_files import TABLES
from tinyencodec.train.command import run

_LONGEST = 255  # sixteenths of a bit: an entry is never taken for rarer than 1 in 2^16


def count_codes(codes: np.ndarray, n_entries: int) -> np.ndarray:
    """How often each entry occurs: codes int [K, F], each 0 ... N-1 for N = `n_entries` -> int64 [K, N]."""
    check_codes(codes, len(codes), n_entries)
    return np.stack([np.bincount(row, minlength=n_entries) for row in codes.astype(np.int64)])


def fit_tables(counts: np.ndarray) -> np.ndarray:
    """Code lengths from counts: int [K, N] -> uint8 [K, N], in sixteenths of a bit.

        c = 16 log2((total + N / 2) / (count + 1 / 2)),  rounded, 255 at most

    That is half an occurrence more of each entry than was seen (Krichevsky and Trofimov, IEEE Transactions on
    Information Theory 27, 1981), so none is impossible.

    Raises `ValueError` unless K >= 1, 2 <= N <= 4096 and no count is negative.
    """
    counts = np.asarray(counts)
    check_shape(counts.shape, "counts")
    if counts.dtype.kind not in "iu" or counts.min() < 0:
        raise ValueError(f"counts: expected integers of at least 0, got {counts.dtype} from {counts.min()}")
    p = (counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 0.5 * counts.shape[1])
    return np.minimum(np.rint(-16 * np.log2(p)), _LONGEST).astype(np.uint8)


def save_tables(path: str | os.PathLike, tables: np.ndarray) -> None:
    """Write tables, uint8 [K, N], to the file `path`, or to `tables.safetensors` in the folder `path`.

    An existing file is replaced, at once or not at all. Raises `OSError` if that fails, `ValueError` for other tables.
    """
    TableCoder(tables)  # checks them
    with atomic_write(table_file(path), force=True) as fo:
        fo.write(save({TENSOR: np.ascontiguousarray(tables)}))


def fit(model: EncodecModel, paths: Iterable[str | os.PathLike]) -> np.ndarray:
    """Fit tables to the codes that `model` gives to recordings at its highest bandwidth; uint8 [K, N].

    The codes at lower bandwidths are the first few of these, so one set of tables serves all. Raises `ValueError` or
    `OSError` for a file that cannot be read.
    """
    counts = np.zeros((model.n_codebooks, model.config.codebook_size), np.int64)
    bandwidth = max(model.bandwidths)
    for path in paths:
        for codes, _ in model.encode(read_audio(path, model.sample_rate, model.channels), bandwidth):
            counts[:len(codes)] += count_codes(codes, counts.shape[1])
    return fit_tables(counts)


def main(argv: list[str] | None = None) -> int:
    """Fit tables from the command line; returns the exit code, 0, or 2 after one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.tables",
                                     description="Fit the static tables of a model to recordings.")
    parser.add_argument("model", metavar="MODEL_FOLDER", type=Path, help=f"{TABLES} is written here")
    parser.add_argument("audio", metavar="AUDIO", nargs="+", type=Path, help="recordings of the kinds to be coded")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: write(args.model, args.audio))


def write(folder: Path, audio: list[Path]) -> None:
    """Fit the tables of the model in `folder` to recordings, and write them there. Raises as `fit`."""
    if not folder.is_dir():
        raise ValueError(f"expected the folder of a model, got {folder}")
    tables = fit(load_model(folder), audio)
    save_tables(folder, tables)
    print(f"{folder / TABLES}: {tables.shape[0]} x {tables.shape[1]}, id {tables_id(tables)}")


if __name__ == "__main__":
    sys.exit(main())
