"""Reading what the official program wrote with `--lm`: one stream of arithmetic coding for each segment.

The official probabilities depend on the machine, the number of threads and the version of PyTorch. Where one of them
comes out otherwise than when the file was written, everything after it is noise, and nothing in the file tells. What
can be told is told: bits that no codes lead to, codes that outlast the bits, and bits that outlast the codes. All
segments are decoded before any is handed on, so that no sound is made of a file that slips.

Memory: the file and its codes, of which there are at most 1024 for each byte of the file.
"""

import io
from typing import Any, BinaryIO

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.header import EcdcHeader
from tinyencodec.ecdc.packets import read_scale
from tinyencodec.system.errors import require

_MOST_BYTES = 1 << 30  # of a file that is read at once
_CODES_PER_BYTE = 1 << 10  # at most, on average: real ones have 1 to 5
_PIECE = 1 << 16


def read_official(fo: BinaryIO, header: EcdcHeader, config: CodecConfig,
                  coder: Any) -> list[tuple[np.ndarray, float | None]]:
    """All segments: pairs (codes int64 [K, F], scale or None).

    coder : has `decode_official(data, start, n_frames, n_codebooks) -> (codes, where the next segment begins)`

    Raises `ValueError` or `EOFError` for a file that does not decode here to its last bit.
    """
    data, at, segments = _read_all(fo), 0, []
    sizes = segment_frames(config, header.audio_length)
    for number, n_frames in enumerate(sizes):
        try:
            scale = None
            if config.normalize:
                scale, at = read_scale(io.BytesIO(data[at:at + 4])), at + 4
            most = _CODES_PER_BYTE * (len(data) - at + 8)
            if n_frames * header.n_codebooks > most:
                raise EOFError(f"file ends early: expected the codes of {n_frames} frames, got {len(data) - at} bytes")
            codes, at = coder.decode_official(data, at, n_frames, header.n_codebooks)
        except (ValueError, EOFError) as error:
            kind = EOFError if isinstance(error, EOFError) else ValueError
            raise kind(f"segment {number}: {error}") from None
        segments.append((codes, scale))
    require(at == len(data), "codes", f"to end with the file, after {len(data)} bytes, as they do where the language "
            "model's probabilities are those that it was written with", f"{at} bytes")
    return segments


def _read_all(fo: BinaryIO) -> bytes:
    data = bytearray()
    while piece := fo.read(_PIECE):
        data += piece
        require(len(data) <= _MOST_BYTES, "file", f"at most {_MOST_BYTES} bytes with a language model", "more")
    return bytes(data)
