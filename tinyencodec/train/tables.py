"""Fit the static tables of a model (`entropy.tables`) to recordings.

    python -m tinyencodec.train.tables MODEL_FOLDER AUDIO...    writes `tables.safetensors` to the folder
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tinyencodec.audio.files import read_audio
from tinyencodec.codec.model import EncodecModel
from tinyencodec.entropy.tables import count_codes, fit_tables, save_tables, tables_id
from tinyencodec.models.store import load_model
from tinyencodec.system.model_files import TABLES


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
    try:
        if not args.model.is_dir():
            raise ValueError(f"expected the folder of a model, got {args.model}")
        tables = fit(load_model(args.model), args.audio)
        save_tables(args.model, tables)
    except (ValueError, EOFError, OSError) as error:
        print(f"{parser.prog}: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    print(f"{args.model / TABLES}: {tables.shape[0]} x {tables.shape[1]}, id {tables_id(tables)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
