"""The test vectors of `tests/vectors`: small `.ecdc` files, and what a decoder must make of them.

`python -m tests.helpers.vectors` writes them anew, for the rare change that is meant (new weights, another format).
"""

import hashlib
import io
import json
import re

import numpy as np
import soundfile

import tinyencodec
from tests.helpers.paths import DATA, TESTS

FOLDER = TESTS / "vectors"
LIST = FOLDER / "vectors.json"
START = 20_000  # the first sample of `guitar.flac` that is used

# signal: model, kbit/s, samples
SIGNALS = {
    "mono": ("tiny_24khz", 6.0, 12_345),  # 39 frames, the last one incomplete
    "mono_long": ("tiny_24khz", 1.5, 53_760),  # 168 frames exactly; floating point may find 169
    "mono_one": ("tiny_24khz", 12.0, 1),  # a single sample
    "stereo": ("tiny_48khz", 6.0, 50_400),  # a full segment, and one of 9 frames
    "stereo_short": ("tiny_48khz", 3.0, 47_600),  # 149 frames, and a segment of 80 samples, 1 frame
}
# file: signal, options of `compress`; "stream": written to a pipe; "padded": the length was told at the end
FILES = {
    **{name: (name, {}) for name in SIGNALS},
    "mono_padded": ("mono", {"padded": True}),
    "mono_stream": ("mono", {"stream": True}),
    "mono_blocks": ("mono", {"protect": True, "block": 0.2}),
    "mono_table": ("mono", {"entropy": "table", "block": 0.2}),
    "mono_lm": ("mono", {"entropy": "lm", "block": 0.2}),
    "mono_table_stream": ("mono", {"entropy": "table", "block": 0.2, "stream": True}),
    "stereo_stream": ("stereo", {"stream": True}),
    "stereo_blocks": ("stereo", {"protect": True, "block": 1.0}),
    "stereo_table": ("stereo", {"entropy": "table", "block": 1.0}),
}


class _Pipe(io.RawIOBase):
    """A binary file that cannot seek."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def signal(name):
    """The sound that a vector was made from, float32 [C, T]: samples of the guitar as if they had the model's rate."""
    model, _, length = SIGNALS[name]
    wav = soundfile.read(DATA / "guitar.flac", dtype="float32", always_2d=True, start=START, frames=length)[0].T
    return np.ascontiguousarray(wav[:2 if model == "tiny_48khz" else 1])


def pcm16(wav):
    """Samples [C, T] as 16-bit integers [T, C], as the vectors' sounds hold them."""
    return np.clip(np.rint(wav.T * np.float32(32768)), -32768, 32767).astype("<i2")


def expected():
    """What `vectors.json` says."""
    return json.loads(LIST.read_text())


def made(name):
    """The bytes of a file as they are written today."""
    which, options = FILES[name]
    options = dict(options)
    model, wav, rate = tinyencodec.load_model(SIGNALS[which][0]), signal(which), SIGNALS[which][1]
    stream, padded = options.pop("stream", False), options.pop("padded", False)
    if not (stream or padded):
        return tinyencodec.compress(model, wav, rate, **options)
    out = _Pipe() if stream else io.BytesIO()
    tinyencodec.compress_stream(model, np.array_split(wav, 4, axis=1), out, rate, **options)
    return bytes(out.data if stream else out.getvalue())


def _write():
    told = {"signals": {}, "files": {}}
    for name, (model_name, rate, length) in SIGNALS.items():
        model = tinyencodec.load_model(model_name)
        frames = model.encode(signal(name), rate)
        sound = pcm16(model.decode(frames, length))
        soundfile.write(FOLDER / f"{name}.flac", sound, model.sample_rate, subtype="PCM_16")
        told["signals"][name] = {
            "model": model_name, "samples": length, "codebooks": len(frames[0].codes),
            "scales": [frame.scale for frame in frames], "codes": [frame.codes.tolist() for frame in frames],
            "sound": f"{name}.flac", "sha256": hashlib.sha256(sound.tobytes()).hexdigest()}
    for name, (which, _) in FILES.items():
        (FOLDER / f"{name}.ecdc").write_bytes(made(name))
        told["files"][f"{name}.ecdc"] = which
    text = json.dumps(told, indent=1)
    flat = re.sub(r"\[[^\[\]{}]*\]", lambda row: json.dumps(json.loads(row[0])), text)  # a row of numbers, a line
    LIST.write_text(flat + "\n")


if __name__ == "__main__":
    _write()
