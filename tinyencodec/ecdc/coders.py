"""Entropy coders: three ways from codes to bytes, one interface.

    none     fixed width (`bits`)
    table    how often each codebook uses each entry (`entropy.tables`): `tables.safetensors` in the model's folder
    lm       what a transformer expects next (`lm.coder`): the folder `lm` in the model's folder

A coder has

    kind     one of these names
    id       16 hex digits that change when the tables or the model do; None for fixed width
    encode(blocks) -> payloads                   codes int [K, F] each -> bytes each, independent of one another
    decode(payloads, n_codebooks) -> blocks      pairs (bytes, F) -> codes int64 [K, F]; `ValueError` or `EOFError`
                                                 for bytes that no codes lead to
    choose(latents, search) -> pairs             float32 [D, F] each -> codes int32 [K, F] and bytes: by error and bits
    costs(codes) -> bits of each codebook        float [K], for codes [K, F] of one block

and takes lists since a language model is quicker with several blocks side by side: a `CodesCoder`.

Chapter 12 of the tutorials walks through it.
"""

import io
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tinyencodec.ecdc.bits import BitReader, BitWriter
from tinyencodec.ecdc.header import ENTROPY, EcdcHeader
from tinyencodec.system.errors import require
from tinyencodec.system.model_files import CONFIG, LM, TABLES

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel
    from tinyencodec.entropy.rate import RateSearch

ARITHMETIC = 1  # version of the arithmetic of `exact`, which a file coded with a language model names
_WORDS = {"none": "fixed width", "table": "tables", "lm": "language model"}
_FILES = {"table": TABLES, "lm": f"{LM}/{CONFIG}"}


class CodesCoder(Protocol):
    """What all three have; see above."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str | None: ...
    def encode(self, blocks: Sequence[np.ndarray]) -> list[bytes]: ...
    def choose(self, blocks: Sequence[np.ndarray], search: "RateSearch") -> list[tuple[np.ndarray, bytes]]: ...
    def decode(self, payloads: list[tuple[bytes, int]], n_codebooks: int) -> list[np.ndarray]: ...
    def costs(self, codes: np.ndarray) -> np.ndarray: ...


class FixedCoder:
    """Each code in `width` bits."""

    kind, id = "none", None

    def __init__(self, width: int) -> None:
        self._width = width

    def encode(self, blocks: Sequence[np.ndarray]) -> list[bytes]:
        """As above; `ValueError` for a code that does not fit."""
        return [self._encode(codes) for codes in blocks]

    def choose(self, blocks: Sequence[np.ndarray], search: "RateSearch") -> list[tuple[np.ndarray, bytes]]:
        """As above: all codes cost the same here, so that error alone decides."""
        chosen = [search.quantizer.encode(np.ascontiguousarray(block.T), search.n_codebooks, search.width)
                  for block in blocks]
        return [(codes, self._encode(codes)) for codes in chosen]

    def _encode(self, codes: np.ndarray) -> bytes:
        packed = io.BytesIO()
        bits = BitWriter(packed, self._width)
        bits.write(codes.T)  # [K, F] -> [F, K]
        bits.flush()
        return packed.getvalue()

    def decode(self, payloads: Sequence[tuple[bytes, int]], n_codebooks: int) -> list[np.ndarray]:
        """As above; `ValueError` for another number of bytes."""
        return [self._decode(data, n_frames, n_codebooks) for data, n_frames in payloads]

    def _decode(self, data: bytes, n_frames: int, n_codebooks: int) -> np.ndarray:
        size = -(-n_frames * n_codebooks * self._width // 8)
        require(len(data) == size, "packed codes", f"{size} bytes", len(data))
        codes = BitReader(io.BytesIO(data), self._width).read(n_frames * n_codebooks)
        return np.ascontiguousarray(codes.reshape(n_frames, n_codebooks).T)  # [F, K] -> [K, F]

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """As above."""
        return np.full(len(codes), float(self._width * codes.shape[1]))


def load_coder(kind: str, model: "EncodecModel | SimpleNamespace") -> CodesCoder:
    """The coder of a `kind` that belongs to a model, whose `name`, `folder` and `config` are used.

    Raises `ValueError` when the model has none, or when it does not fit the model.
    """
    require(kind in ENTROPY, "entropy coding", ", ".join(ENTROPY), kind)
    if kind == "none":
        return FixedCoder(model.config.bits_per_code)
    expected = _FILES[kind] if model.folder is None else model.folder / _FILES[kind]
    if model.folder is None or not os.path.isfile(expected):
        raise ValueError(f"model {model.name} has no {_WORDS[kind]}: expected {expected}")
    coder: CodesCoder
    if kind == "table":
        from tinyencodec.entropy.tables import TableCoder, load_tables

        coder = tables = TableCoder(load_tables(expected))
        size = tables.n_entries
    else:
        from tinyencodec.lm.coder import LMCoder
        from tinyencodec.models.store import load_language_model

        model_of_codes = load_language_model(model.folder / LM)
        coder, size = LMCoder(model_of_codes, getattr(model, "threads", 1)), model_of_codes.config.codebook_size
    require(size == model.config.codebook_size, f"{_WORDS[kind]} of model {model.name}",
            f"{model.config.codebook_size} entries per codebook", size)
    return coder


def check_coder(coder: CodesCoder | None, header: EcdcHeader) -> CodesCoder:
    """The coder; `ValueError` unless a file with this header was coded with this very one, found by its content."""
    kind = header.coder_kind
    require(coder is not None and coder.kind == kind, f"coder of a file coded with {_WORDS[kind]}", kind,
            coder and coder.kind)
    assert coder is not None
    if header.lm:
        require(header.arithmetic == ARITHMETIC, "arithmetic of the language model", f"version {ARITHMETIC}",
                header.arithmetic)
    if header.coder != coder.id:
        raise ValueError(f"coded with the {_WORDS[kind]} {header.coder}, installed is {coder.id}: "
                         f"expected the same, since no others give the codes back")
    return coder
