"""What an `.ecdc` file holds, told from its header and its size; nothing is decoded."""

import os
from pathlib import Path
from typing import BinaryIO

from tinyencodec.config import PRESETS, CodecConfig
from tinyencodec.ecdc import EcdcHeader, payload_size, read_header, segment_frames
from tinyencodec.store import find_model


def describe(path: str | os.PathLike, model: str | None = None) -> str:
    """Describe the file at `path` in a few lines of text.

    Durations and rates follow from the model's configuration: that of `model` (name or folder) if
    given, else of the model that the header names, if it is installed or a well-known one.

    Raises `ValueError` for a file that is no `.ecdc` file or does not belong to `model`, `EOFError`
    for one that ends early, `OSError` for one that cannot be read.
    """
    with open(path, "rb") as file:
        try:
            counted = _Counted(file)
            header = read_header(counted)
            n_header = counted.count
            while counted.read(1 << 20):
                pass
            lines = _lines(header, _config(header, model), n_header, counted.count - n_header)
        except EOFError as error:
            raise EOFError(f"{os.fspath(path)}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None
    return "\n".join(f"{name:11}{value}" for name, value in lines)


def _lines(header: EcdcHeader, config: CodecConfig | None, n_header: int, n_payload: int) -> list[tuple[str, str]]:
    if config is None:
        return [("model", f"{header.model}, not found here: no rates, and no check of the size"),
                ("length", f"{header.audio_length} samples"),
                ("codebooks", str(header.n_codebooks)),
                ("coding", _coding(header)),
                ("actual", f"{n_header + n_payload} bytes"),
                ("header", f"{n_header} bytes"),
                ("payload", f"{n_payload} bytes")]
    if header.n_codebooks > config.n_codebooks:
        raise ValueError(f"codebooks: expected 1 to {config.n_codebooks}, got {header.n_codebooks}")
    expected = None if header.lm else payload_size(config, header)
    if expected is not None and n_payload < expected:
        raise EOFError(f"file ends early: expected {expected} bytes after the header, got {n_payload}")
    seconds = header.audio_length / config.sampling_rate
    lines = [("model", f"{header.model}, {config.sampling_rate} Hz, "
                       f"{'stereo' if config.audio_channels == 2 else 'mono'}"),
             ("duration", f"{seconds:.3f} s ({header.audio_length} samples)")]
    if expected is not None:  # then the file is as long as it claims to be, and so is this walk
        frames = list(segment_frames(config, header.audio_length))
        lines.append(("frames", f"{sum(frames)} in {len(frames)} segment{'s' if len(frames) > 1 else ''}, "
                                f"{config.hop_length} samples each"))
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
    return "language model" if header.lm else "fixed width"


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
