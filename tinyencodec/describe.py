"""What an `.ecdc` file holds, told from its header, its size and its packets' sizes; nothing is decoded."""

import os
from pathlib import Path
from typing import BinaryIO

from tinyencodec.config import PRESETS, CodecConfig
from tinyencodec.ecdc import EcdcHeader, payload_size, read_header
from tinyencodec.packets import PacketReader
from tinyencodec.segments import segment_frames
from tinyencodec.store import find_model


def describe(path: str | os.PathLike, model: str | None = None) -> str:
    """Describe the file at `path` (`-`: standard input) in a few lines of text.

    Durations and rates follow from the model's configuration: that of `model` (name or folder) if
    given, else of the model that the header names, if it is installed or a well-known one.

    Raises `ValueError` for a file that is no `.ecdc` file or does not belong to `model`, `EOFError`
    for one that ends early, `OSError` for one that cannot be read.
    """
    is_pipe = os.fspath(path) == "-"
    with open(0 if is_pipe else path, "rb", closefd=not is_pipe) as file:
        try:
            lines = _lines(_Counted(file), model)
        except EOFError as error:
            raise EOFError(f"{os.fspath(path)}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None
    return "\n".join(f"{name:11}{value}" for name, value in lines)


def _lines(fo: "_Counted", model: str | None) -> list[tuple[str, str]]:
    header = read_header(fo)
    config, n_header = _config(header, model), fo.count
    if config is None:
        n_payload = fo.skip()
        return [("model", f"{header.model}, not found here: no rates, and no check of the size"),
                ("length", "told at the end of the file" if header.stream else f"{header.audio_length} samples"),
                ("codebooks", str(header.n_codebooks)),
                ("coding", _coding(header)),
                ("actual", f"{n_header + n_payload} bytes"),
                ("header", f"{n_header} bytes"),
                ("payload", f"{n_payload} bytes")]
    if header.n_codebooks > config.n_codebooks:
        raise ValueError(f"codebooks: expected 1 to {config.n_codebooks}, got {header.n_codebooks}")
    packets, length = 0, header.audio_length
    if header.stream:
        reader = PacketReader(fo, header, config)
        packets = sum(1 for _ in reader)
        expected, length = fo.count - n_header, reader.audio_length
    else:
        expected = None if header.lm else payload_size(config, header)
    n_payload = fo.count - n_header + fo.skip()
    if expected is not None and n_payload < expected:
        raise EOFError(f"file ends early: expected {expected} bytes after the header, got {n_payload}")
    seconds = length / config.sampling_rate
    lines = [("model", f"{header.model}, {config.sampling_rate} Hz, "
                       f"{'stereo' if config.audio_channels == 2 else 'mono'}"),
             ("duration", f"{seconds:.3f} s ({length} samples)")]
    if expected is not None:  # then the file is as long as it claims to be, and so is this walk
        frames = list(segment_frames(config, length))
        lines.append(("frames", f"{sum(frames)} in {len(frames)} segment{'s' * (len(frames) != 1)}, "
                                f"{config.hop_length} samples each"))
    if packets:
        lines.append(("packets", f"{packets}, of {sum(frames) / packets:.1f} frames on average"))
    nominal = header.n_codebooks * config.bits_per_code * config.frame_rate / 1000
    n_file = n_header + n_payload
    return lines + [
        ("codebooks", f"{header.n_codebooks} of {config.n_codebooks}, {config.bits_per_code} bits per code"),
        ("coding", _coding(header)),
        ("nominal", f"{nominal:g} kbit/s"),
        ("actual", f"{n_file * 8 / 1000 / seconds:.3f} kbit/s ({n_file} bytes)"),
        ("header", f"{n_header} bytes"),
        ("payload", f"{n_payload if expected is None else expected} bytes"),
        ("trailing", "not known without decoding" if expected is None else f"{n_payload - expected} bytes"),
    ]


def _coding(header: EcdcHeader) -> str:
    return "language model" if header.lm else "fixed width" + ", streamed" * header.stream


def _config(header: EcdcHeader, model: str | None) -> CodecConfig | None:
    try:
        folder = find_model(model or header.model)
    except ValueError:
        if model:
            raise
        return PRESETS.get(header.model)
    if folder.resolve().name != header.model:
        raise ValueError(f"model: expected {folder.resolve().name!r}, got {header.model!r}")
    return CodecConfig.from_file(Path(folder) / "config.json")


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
