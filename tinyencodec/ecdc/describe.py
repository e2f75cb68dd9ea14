"""What an `.ecdc` file holds, and where its bytes go. Nothing is decoded; codes are counted where they can be read.

The bits that a codebook needs, if each code is written on its own, are its empirical entropy: -sum p log2 p, where
p are the relative frequencies of its entries in this file. No table does better, not even the one made for this file.
A language model can, since it knows what came before. A short file has a lower entropy than its source: with n codes
of N entries, by about (N - 1) / (2 n ln 2) bits.

Chapter 11 of the tutorials uses it.
"""

import os
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.block_io import BlockReader
from tinyencodec.ecdc.block_layout import CHECK, HEAD, LENGTH, Layout
from tinyencodec.ecdc.coders import CodesCoder, FixedCoder, check_coder, load_coder
from tinyencodec.ecdc.container import EcdcReader
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, payload_size, read_header
from tinyencodec.models.store import find_config
from tinyencodec.system.errors import blame, require

_COUNTED = 1 << 22  # codes of all codebooks that are counted apart, at most; the official models have 32 768
_NAMED = 8  # damaged places that are told one by one


def describe(path: str | os.PathLike, model: str | None = None) -> str:
    """Describe the file at `path` (`-`: standard input) in a few lines of text.

    Durations and rates follow from the model's configuration: that of `model` (name or folder) if
    given, else of the model that the header names, if it is installed or a well-known one.

    Raises `ValueError` for a file that is no `.ecdc` file or does not belong to `model`, `EOFError`
    for one that ends early, unless it is in blocks, whose damages are told; `OSError` for one that cannot be read.
    """
    is_pipe = os.fspath(path) == "-"
    with open(0 if is_pipe else path, "rb", closefd=not is_pipe) as file, blame(os.fspath(path)):
        return _Description(_Counted(file), model).text()


class _Description:
    def __init__(self, fo: Any, model: str | None) -> None:  # fo: a `_Counted`
        self.fo, self.header = fo, read_header(fo, to_decode=False)
        self.n_header = fo.count
        self.model = _installed(self.header, model)
        self.census: _Census | None = None
        self.length = self.header.audio_length  # samples; 0 until known
        self.framing = 0  # bytes
        self.notes: list[tuple[str, str]] = []

    def text(self) -> str:
        undecodable = self.header.lm and self.header.block is None
        lines = self._header_only() if self.model is None or undecodable else self._known(self.model.config)
        text = "\n".join(f"{name:11}{value}" for name, value in lines)
        return text if self.census is None else f"{text}\n\n{self.census.table()}"

    def _header_only(self) -> list[tuple[str, str]]:
        header, n_payload = self.header, self.fo.skip()
        unknown = ", not found here: no rates, and no check of the size" if self.model is None else ""
        return [("model", header.model + unknown),
                ("length", "told at the end of the file" if header.stream else f"{header.audio_length} samples"),
                ("codebooks", str(header.n_codebooks)),
                ("coding", _coding(header)),
                ("actual", f"{self.n_header + n_payload} bytes"),
                ("header", f"{self.n_header} bytes"),
                ("payload", f"{n_payload} bytes")]

    def _known(self, config: CodecConfig) -> list[tuple[str, str]]:
        header = self.header
        require(header.n_codebooks <= config.n_codebooks, "codebooks", f"1 to {config.n_codebooks}", header.n_codebooks)
        payload = self._blocks(config) if header.block is not None else self._frames(config)
        rest = self.fo.count - self.n_header - payload - self.framing + self.fo.skip()
        seconds, total = self.length / config.sampling_rate, self.fo.count
        lines = [("model", f"{header.model}, {config.sampling_rate} Hz, "
                           f"{'stereo' if config.audio_channels == 2 else 'mono'}"),
                 ("duration", f"{seconds:.3f} s ({self.length} samples)")]
        if self.length <= 1000 * config.hop_length * (total + 1000):  # else nobody should walk over such a claim
            frames = list(segment_frames(config, self.length))
            lines.append(("frames", f"{sum(frames)} in {len(frames)} segment{'s' * (len(frames) != 1)}, "
                                    f"{config.hop_length} samples each"))
        nominal = header.n_codebooks * config.bits_per_code * config.frame_rate / 1000
        lines += [*self.notes,
                  ("codebooks", f"{header.n_codebooks} of {config.n_codebooks}, {config.bits_per_code} bits per code"),
                  ("coding", _coding(header)),
                  ("nominal", f"{nominal:g} kbit/s"),
                  ("actual", f"{total * 8 / 1000 / seconds:.3f} kbit/s ({total} bytes)")]
        whole = all(name != "damaged" for name, _ in self.notes)
        if whole and header.block is not None:
            plain = EcdcHeader(header.model, self.length, header.n_codebooks)
            fixed = len(header_bytes(plain)) + payload_size(config, plain)
            lines.append(("saving", f"{100 * (1 - total / fixed):.1f} % of {fixed} bytes in fixed width"))
        for name, size in (("header", self.n_header), ("payload", payload), ("framing", self.framing)):
            if size or name != "framing":
                lines.append((name, f"{size} bytes ({size * 8 / 1000 / seconds:.3f} kbit/s)"))
        return [*lines, ("trailing" if whole else "unreadable", f"{rest} bytes")]

    def _frames(self, config: CodecConfig) -> int:
        """Count the codes of a file of version 0, plain or in packets; return the bytes of its payload."""
        header, coder, n, frames = self.header, FixedCoder(config.bits_per_code), 0, 0
        reader, self.census = EcdcReader(self.fo, header, config), _Census(header, config)
        try:
            for codes, _ in reader:
                self.census.add(codes, coder)
                n, frames = n + 1, frames + codes.shape[1]
        except EOFError:
            if header.stream:
                raise
            raise EOFError(f"file ends early: expected {payload_size(config, header)} bytes after the header, "
                           f"got {self.fo.count - self.n_header}") from None
        self.length = reader.audio_length or 0
        if header.stream:
            self.framing = 2 * n + 10
            self.notes.append(("packets", f"{n}, of {frames / n:.1f} frames on average"))
        return self.fo.count - self.n_header - self.framing

    def _blocks(self, config: CodecConfig) -> int:
        """Count the codes of undamaged blocks, and note what is missing; return the bytes of all payloads."""
        header, unread, coder = self.header, "", cast(CodesCoder, None)
        try:
            assert self.model is not None
            coder = check_coder(load_coder(header.coder_kind, self.model), header)
        except ValueError as error:
            unread = str(error)
        reader = BlockReader(self.fo, header, config, coder, keep_going="repeat")
        layout, search = reader.layout, reader.search
        census, missing, number, payload = _Census(header, config), [], 0, 0
        extra = CHECK.size * layout.coded + bool(layout.n_segments)  # bytes in a block that tell no codes
        blocks = ((block, None) for block in search) if unread else (
            (block, codes) for block, _, _, codes in reader.undamaged())
        for block, codes in blocks:
            if block.number > number:
                missing.append((number, block.number))
            number = block.number + 1
            payload += len(block.content) - extra
            self.framing += HEAD.size + extra
            if codes is not None:
                census.add(codes, coder)
        no_end = search.audio_length is None
        self.length = self.length or search.audio_length or layout.start(number)
        require(self.length, "blocks", "at least one that is undamaged", "none")
        self.framing += 0 if no_end else HEAD.size + LENGTH.size
        if number < (count := layout.count(self.length)):
            missing.append((number, count))
        seconds = layout.start(1) / config.sampling_rate
        self.notes.append(("blocks", f"{count}, of {header.block} frames ({seconds:.3f} s)"))
        if header.mended:
            self.notes.append(("mended", f"header, {header.mended}"))
        if missing or no_end:
            self.notes.append(("damaged", _names(layout, missing, self.length, no_end)))
        if unread:
            self.notes.append(("codes", f"not read: {unread}"))
        elif number:
            self.census = census
        return payload


def _names(layout: Layout, missing: list[tuple[int, int]], length: int, no_end: bool) -> str:
    total = sum(end - start for start, end in missing)
    names = [layout.name(start, length, end) for start, end in missing[:_NAMED]]
    return "; ".join([f"{total} block{'s' * (total != 1)}", *names, *["..."] * (len(missing) > _NAMED),
                      *["the end block"] * no_end])


class _Census:
    """How often each code occurs, and what it costs, by codebook."""

    def __init__(self, header: EcdcHeader, config: CodecConfig) -> None:
        size = header.n_codebooks * config.codebook_size
        require(size <= _COUNTED, "codebooks", f"at most {_COUNTED} entries in all", size)
        self.counts = np.zeros((header.n_codebooks, config.codebook_size), np.int64)  # [K, N]
        self.bits = np.zeros(header.n_codebooks)

    def add(self, codes: np.ndarray, coder: CodesCoder) -> None:
        for k, row in enumerate(codes):
            self.counts[k] += np.bincount(row, minlength=self.counts.shape[1])
        self.bits += coder.costs(codes)

    def table(self) -> str:
        n = max(1, int(self.counts[0].sum()))
        p = self.counts / n
        entropy = -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=1) + 0.0  # [K]
        rows = [*enumerate(zip(entropy, self.bits / n), 1), ("mean", (entropy.mean(), self.bits.mean() / n))]
        return "\n".join(["bits per code, by codebook", "codebook   entropy    spent",
                          *(f"{name:<11}{bits:7.3f}{spent:9.3f}" for name, (bits, spent) in rows)])


def _coding(header: EcdcHeader) -> str:
    if header.block is None:
        return "official language model, which cannot be decoded here" if header.lm else \
            "fixed width" + ", streamed" * header.stream
    words = {"none": "fixed width", "table": f"tables {header.coder}", "lm": f"language model {header.coder}"}
    return f"{words[header.coder_kind]}, with checksums" + ", streamed" * header.stream


def _installed(header: EcdcHeader, model: str | None) -> SimpleNamespace | None:
    try:
        found = find_config(model or header.model)
    except ValueError:
        if model:
            raise
        return None
    require(found.name == header.model, "model", repr(found.name), header.model)
    return found


class _Counted:
    """A file that counts what is read from it, since a pipe cannot tell its position."""

    def __init__(self, fo: BinaryIO) -> None:
        self._fo, self.count = fo, 0

    def read(self, size: int) -> bytes:
        data = self._fo.read(size)
        self.count += len(data)
        return data

    def skip(self) -> int:
        """Read to the end; how many bytes that were."""
        start = self.count
        while self.read(1 << 20):
            pass
        return self.count - start
