"""The same bits as ever: codes, files and sound of fixed inputs, by hash, against a list that is kept in `bits.json`.

A new layout or a faster kernel changes none of these. `python -m tests.promises.test_same_bits` prints the list anew,
for the rare change that is meant (new weights, another format). With the compiler off, the NumPy twins add in another
order: then only what the format promises is compared, the codes and the files made of them.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers.paths import DATA, GOLDEN

LIST = GOLDEN / "bits.json"
MODELS = {"tiny_24khz": "tiny_24khz", "tiny_48khz": "tiny_48khz",
          **{name: GOLDEN / name for name in
             ("causal", "dilated", "identity_skip", "segments", "uneven", "zero_padded")}}
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


class Pipe(io.RawIOBase):
    """A binary file that cannot seek."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.data += data
        return len(data)


def digest(*arrays) -> str:
    """SHA-256 of arrays, with their types and shapes, or of bytes."""
    sha = hashlib.sha256()
    for array in arrays:
        if not isinstance(array, (bytes, bytearray)):
            sha.update(f"{array.dtype.str} {array.shape}".encode())
            array = np.ascontiguousarray(array).tobytes()
        sha.update(array)
    return sha.hexdigest()[:32]


def recording(model, seconds: float = 1.3) -> np.ndarray:
    """The guitar's samples as if they had the model's rate, float32 [C, T]: no resampler between them and the codec."""
    wav = soundfile.read(DATA / "guitar.flac", dtype="float32", always_2d=True)[0].T
    start, length = 20_000, int(seconds * model.sample_rate) + 7
    return np.ascontiguousarray(wav[:model.channels, start:start + length])


def hashes(name: str) -> Iterator[tuple[str, str]]:
    """Names and hashes of all that one model makes."""
    model = tinyencodec.load_model(MODELS[name])
    wav = recording(model, 1.3 if name.startswith("tiny") else 0.2)
    low, high = model.bandwidths[0], model.bandwidths[min(2, len(model.bandwidths) - 1)]
    frames = {rate: model.encode(wav, rate) for rate in (low, high)}
    for rate in frames:
        yield f"codes {rate:g}", digest(*(frame.codes for frame in frames[rate]))
    for kind in ("none", "protect", "table", "lm"):
        if kind in ("table", "lm") and not name.startswith("tiny"):
            continue
        options = {"protect": True} if kind == "protect" else {"entropy": kind}
        data = tinyencodec.compress(model, wav, high, **options)
        yield f"file {kind}", digest(data)
        yield f"sound of {kind}", digest(tinyencodec.decompress(data, model)[0])
        pipe = Pipe()
        tinyencodec.compress_stream(model, np.array_split(wav, 5, axis=1), pipe, high, **options)
        yield f"stream {kind}", digest(pipe.data)
        if kind != "protect":
            yield f"search {kind}", digest(tinyencodec.compress(model, wav, high, search=6, **options))
    yield "codes of a search", digest(*(frame.codes for frame in model.encode(wav, high, search=6)))
    batch = tinyencodec.encode_batch(model, [wav, wav[:, :999]], low)
    yield "batch", digest(*batch.codes)
    yield "sound of batch", digest(*tinyencodec.decode_batch(model, *batch))


def split(found: dict[str, str]) -> dict[str, str]:
    """What can be compared here."""
    return found if COMPILED else {key: value for key, value in found.items() if not key.startswith("sound")}


@pytest.mark.parametrize("name", MODELS)
def test_same_bits(name):
    assert split(dict(hashes(name))) == split(json.loads(LIST.read_text())[name])


if __name__ == "__main__":
    print(json.dumps({name: dict(hashes(name)) for name in MODELS}, indent=1))
