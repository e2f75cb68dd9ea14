"""What an `.ecdc` file holds, and where its bytes go. No sound is made; the codes are counted where they can be had.

The bits that a codebook asks for, if each code is told on its own, are its empirical entropy: -sum p log2 p, where
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
from tinyencodec.ecdc.coders import Coder, FixedCoder, check_coder, load_coder
from tinyencodec.ecdc.container import EcdcHeader, EcdcReader, payload_size, read_header
from tinyencodec.ecdc.header import header_bytes
from tinyencodec.ecdc.packets import PacketReader
from tinyencodec.models.store import find_config
from tinyencodec.system.errors import require

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
    with open(0 if is_pipe else path, "rb", closefd=not is_pipe) as file:
        try:
            return _Description(_Counted(file), model).text()
        except EOFError as error:
            raise EOFError(f"{os.fspath(path)}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None


class _Description:
    def __init__(self, fo: Any, model: str | None) -> None:  # fo: a `_Counted`
        self.fo, self.header = fo, read_header(fo)
        self.n_header = fo.count
        self.model = _installed(self.header, model)
        self.census: _Census | None = None
        self.length = self.header.audio_length  # samples; 0 until known
        self.payload = self.framing = 0  # bytes
        self.notes: list[tuple[str, str]] = []

    def text(self) -> str:
        lines = self._unknown() if self.model is None else self._known(self.model.config)
        text = "\n".join(f"{name:11}{value}" for name, value in lines)
        return text if self.census is None else f"{text}\n\n{self.census.table()}"

    def _unknown(self) -> list[tuple[str, str]]:
        header, n_payload = self.header, self.fo.skip()
        return [("model", f"{header.model}, not found here: no rates, and no check of the size"),
                ("length", "told at the end of the file" if header.stream else f"{header.audio_length} samples"),
                ("codebooks", str(header.n_codebooks)),
                ("coding", _coding(header)),
                ("actual", f"{self.n_header + n_payload} bytes"),
                ("header", f"{self.n_header} bytes"),
                ("payload", f"{n_payload} bytes")]

    def _known(self, config: CodecConfig) -> list[tuple[str, str]]:
        header = self.header
        if header.n_codebooks > config.n_codebooks:
            raise ValueError(f"codebooks: expected 1 to {config.n_codebooks}, got {header.n_codebooks}")
        official_lm = header.lm and header.block is None
        walk = (self._blocks if header.block is not None else self._packets if header.stream else
                self._segments if not official_lm else self._all)
        walk(config)
        rest = self.fo.count - self.n_header - self.payload - self.framing + self.fo.skip()
        seconds, total = self.length / config.sampling_rate, self.fo.count
        lines = [("model", f"{header.model}, {config.sampling_rate} Hz, "
                           f"{'stereo' if config.audio_channels == 2 else 'mono'}"),
                 ("duration", f"{seconds:.3f} s ({self.length} samples)")]
        if not official_lm and not self._claims_too_much(config):
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
        if whole and (header.block is not None or official_lm):
            plain = EcdcHeader(header.model, self.length, header.n_codebooks)
            fixed = len(header_bytes(plain)) + payload_size(config, plain)
            lines.append(("saving", f"{100 * (1 - total / fixed):.1f} % of {fixed} bytes in fixed width"))
        for name, size in (("header", self.n_header), ("payload", self.payload), ("framing", self.framing)):
            if size or name != "framing":
                lines.append((name, f"{size} bytes ({size * 8 / 1000 / seconds:.3f} kbit/s)"))
        left = "not known without decoding" if official_lm else f"{rest} bytes"
        return lines + [("trailing" if whole else "unreadable", left)]

    def _claims_too_much(self, config: CodecConfig) -> bool:
        """Whether a damaged file claims so many segments that nobody should walk over them."""
        return self.length > 1000 * config.hop_length * (self.fo.count + 1000)

    def _all(self, config: CodecConfig) -> None:
        self.payload = self.fo.skip()

    def _segments(self, config: CodecConfig) -> None:
        expected = payload_size(config, self.header)
        self.census = _Census(self.header, config)
        try:
            for codes, _ in EcdcReader(self.fo, self.header, config):
                self.census.add(codes, FixedCoder(config.bits_per_code))
        except EOFError:
            raise EOFError(f"file ends early: expected {expected} bytes after the header, "
                           f"got {self.fo.count - self.n_header}") from None
        self.payload = expected

    def _packets(self, config: CodecConfig) -> None:
        reader, n, frames = PacketReader(self.fo, self.header, config), 0, 0
        self.census = _Census(self.header, config)
        for packet in reader:
            n, frames = n + 1, frames + packet.n_frames
            self.payload += len(packet.data) + 4 * (packet.scale is not None)
            self.census.add(packet.codes(self.header.n_codebooks, config.bits_per_code),
                            FixedCoder(config.bits_per_code))
        self.length, self.framing = reader.audio_length or 0, 2 * n + 10
        self.notes.append(("packets", f"{n}, of {frames / n:.1f} frames on average"))

    def _blocks(self, config: CodecConfig) -> None:
        header = self.header
        layout = Layout(config, header.n_codebooks, header.block or 0, header.entropy != "none")
        unread, coder = "", cast(Coder, None)
        try:
            assert self.model is not None
            coder = load_coder(header.entropy, self.model)
            if header.entropy != "none":
                check_coder(coder, header)
        except ValueError as error:
            unread = str(error)
        reader = BlockReader(self.fo, header, config, coder, keep_going="repeat")
        census, missing, number = _Census(header, config), [], 0
        extra = CHECK.size * layout.coded + (layout.n_segments is not None)  # bytes in a block that tell no codes
        blocks = ((block, None) for block in reader.search) if unread else (
            (block, codes) for block, _, _, codes in reader.undamaged())
        for block, codes in blocks:
            if block.number > number:
                missing.append((number, block.number))
            number = block.number + 1
            self.payload += len(block.content) - extra
            self.framing += HEAD.size + extra
            if codes is not None:
                census.add(codes, coder)
        self.length = self.length or reader.search.audio_length or layout.start(number)
        require(self.length, "blocks", "at least one that is undamaged", "none")
        self.framing += 0 if reader.search.audio_length is None else HEAD.size + LENGTH.size
        if number < (count := layout.count(self.length)):
            missing.append((number, count))
        seconds = layout.start(1) / config.sampling_rate
        self.notes.append(("blocks", f"{count}, of {header.block} frames ({seconds:.3f} s)"))
        if header.mended:
            self.notes.append(("mended", f"header, {header.mended}"))
        if missing or reader.search.audio_length is None:
            self.notes.append(("damaged", _names(layout, missing, self.length, reader.search.audio_length is None)))
        if unread:
            self.notes.append(("codes", f"not read: {unread}"))
        elif number:
            self.census = census


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
        self.bits: np.ndarray | None = np.zeros(header.n_codebooks)

    def add(self, codes: np.ndarray, coder: Coder) -> None:
        for k, row in enumerate(codes):
            self.counts[k] += np.bincount(row, minlength=self.counts.shape[1])
        costs = getattr(coder, "costs", None)
        self.bits = None if costs is None or self.bits is None else self.bits + costs(codes)

    def table(self) -> str:
        n = max(1, int(self.counts[0].sum()))
        p = self.counts / n
        entropy = -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=1) + 0.0  # [K]
        spent = None if self.bits is None else self.bits / n
        rows = [(str(k + 1), entropy[k], None if spent is None else spent[k]) for k in range(len(entropy))]
        rows.append(("mean", entropy.mean(), None if spent is None else spent.mean()))
        return "\n".join(["bits per code, by codebook", "codebook   entropy    spent",
                          *(f"{name:11}{a:7.3f}{'' if b is None else f'{b:9.3f}'}" for name, a, b in rows)])


def _coding(header: EcdcHeader) -> str:
    if header.block is None:
        return "language model, official" if header.lm else "fixed width" + ", streamed" * header.stream
    words = {"none": "fixed width", "table": f"tables {header.coder}", "lm": f"language model {header.coder}"}
    return f"{words[header.entropy]}, with checksums" + ", streamed" * header.stream


def _installed(header: EcdcHeader, model: str | None) -> SimpleNamespace | None:
    try:
        found = find_config(model or header.model)
    except ValueError:
        if model:
            raise
        return None
    if found.name != header.model:
        raise ValueError(f"model: expected {found.name!r}, got {header.model!r}")
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
