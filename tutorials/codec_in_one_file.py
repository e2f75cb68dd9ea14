"""The whole codec in one file: sound to `.ecdc` and back. NumPy computes, safetensors reads the weights; nothing else.

    python tutorials/codec_in_one_file.py IN.ecdc OUT.wav
    python tutorials/codec_in_one_file.py IN.wav OUT.ecdc --bandwidth 6

Read it from top to bottom. The specification beside it, `format.md`, has the same sections. It handles files of version
0, which the official program also reads, and the bundled models, 24 kHz mono and 48 kHz stereo. It prefers the formula
to speed: it is about ten times slower than the package, and keeps a whole signal in memory.

Shapes: C channels, T samples, F frames, K codebooks, N entries in each, D numbers in a latent vector.
"""

import argparse
import json
import math
import re
import struct
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


# ---- 1 Header and metadata ---------------------------------------------------------------------------
#     4 bytes "ECDC",  1 byte version 0,  4 bytes n (big-endian),  n bytes JSON


class Header(NamedTuple):
    model: str  # name of a model folder
    length: int  # samples per channel
    codebooks: int  # K


def header_bytes(header: Header) -> bytes:
    fields = {"m": header.model, "al": header.length, "nc": header.codebooks, "lm": False}
    text = json.dumps(fields).encode()
    return struct.pack("!4sBI", b"ECDC", 0, len(text)) + text


def read_header(data: bytes) -> tuple[Header, bytes]:
    """The header of a file, and the payload that follows it."""
    if data[:4] != b"ECDC":
        raise ValueError(f"expected a file that begins with b'ECDC', got {data[:4]!r}")
    _, version, size = struct.unpack("!4sBI", data[:9].ljust(9, b"\0"))
    if version != 0:
        raise ValueError(f"expected .ecdc version 0, got {version}: blocks are read by the package only")
    if len(data) < 9 + size:
        raise ValueError(f"expected a header of {9 + size} bytes, got {len(data)}: the file ends early")
    try:
        fields = json.loads(data[9:9 + size])
        header = Header(fields["m"], fields["al"], fields["nc"])
        plain = not fields["lm"] and not fields.get("stream", False)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"expected JSON with m, al, nc and lm, got {data[9:9 + size]!r:.80}") from None
    if not plain:
        raise ValueError("expected plain version 0: streamed files and language models are read by the package only")
    if not (isinstance(header.model, str) and re.fullmatch(r"[\w-][\w.-]*", header.model, re.ASCII)):
        raise ValueError(f"expected the plain name of a model (m), got {header.model!r:.80}")
    for name, value in ("al", header.length), ("nc", header.codebooks):
        if type(value) is not int or value < 1:
            raise ValueError(f"expected {name} to be a positive integer, got {value!r:.80}")
    return header, data[9 + size:]


# ---- 2 Codes as bits ---------------------------------------------------------------------------------
# Every codebook of frame 0, then of frame 1, ...; each code's lowest bit first; bit j of the stream is bit j % 8 of
# byte j // 8; zero bits complete the last byte.


def pack_codes(codes: np.ndarray, width: int) -> bytes:
    """Codes [K, F], each in `width` bits."""
    bits = codes.T.reshape(-1, 1) >> np.arange(width) & 1  # [K, F] -> [F * K, width]
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


def unpack_codes(data: bytes, width: int, codebooks: int, frames: int) -> np.ndarray:
    """Codes [K, F] again, from exactly the bytes that they take."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=frames * codebooks * width, bitorder="little")
    return (bits.reshape(frames, codebooks, width) @ (1 << np.arange(width))).T  # [F, K, width] -> [K, F]


# ---- 3 Segments of the payload -----------------------------------------------------------------------
# A model without segments has one, the whole signal. Otherwise one begins every `stride` samples, as long as there are
# any. If the model normalises its input, a segment starts with its scale, a big-endian float32.


class Segment(NamedTuple):
    codes: np.ndarray  # integers [K, F]
    scale: float | None


def segment_slices(config: dict, length: int) -> Iterator[slice]:
    """Where each segment of a signal of `length` samples lies in it."""
    size, stride = length, length
    if config["chunk_length_s"] is not None:
        size = int(config["chunk_length_s"] * config["sampling_rate"])
        stride = max(1, int((1 - config["overlap"]) * size))
    for start in range(0, length, stride):
        yield slice(start, min(start + size, length))


def hop_length(config: dict) -> int:
    """Samples per frame."""
    return math.prod(config["upsampling_ratios"])


def code_width(config: dict) -> int:
    """Bits per code: log2 N."""
    return config["codebook_size"].bit_length() - 1


def codebooks_for(config: dict, bandwidth: float) -> int:
    """K that fit into so many kbit/s."""
    frame_rate = math.ceil(config["sampling_rate"] / hop_length(config))
    return int(bandwidth * 1000 / (code_width(config) * frame_rate) + 1e-6)


def payload_bytes(config: dict, segments: list[Segment]) -> bytes:
    parts = []
    for codes, scale in segments:
        parts += [b"" if scale is None else struct.pack("!f", scale), pack_codes(codes, code_width(config))]
    return b"".join(parts)


def read_payload(config: dict, header: Header, payload: bytes) -> list[Segment]:
    width, at, segments = code_width(config), 0, []
    for where in segment_slices(config, header.length):
        frames = -(-(where.stop - where.start) // hop_length(config))
        start = at + (4 if config["normalize"] else 0)
        end = start - (-frames * header.codebooks * width // 8)
        if end > len(payload):
            raise ValueError(f"expected {end} bytes of codes or more, got {len(payload)}: the file ends early")
        scale = struct.unpack("!f", payload[at:start])[0] if config["normalize"] else None
        if scale is not None and not 0 <= scale < math.inf:
            raise ValueError(f"expected a finite scale of at least 0, got {scale}")
        segments.append(Segment(unpack_codes(payload[start:end], width, header.codebooks, frames), scale))
        at = end
    return segments


# ---- 4 A model folder --------------------------------------------------------------------------------
# `config.json` has the sizes, `model.safetensors` the weights. Matrices may be stored as rows of 8-bit integers NAME
# with a scale for each row, NAME.scale. Weight norm stores a direction v and a length g: w = g v / |v|.


class Model(NamedTuple):
    name: str
    config: dict
    weights: dict  # float32 arrays by name


def load_model(folder: Path) -> Model:
    config = json.loads((folder / "config.json").read_text())
    stored = load_file(folder / "model.safetensors")
    weights = {}
    for name, values in stored.items():
        values = values.astype(np.float32)
        if name + ".scale" in stored:
            values *= stored[name + ".scale"][:, None]
        if name.endswith(".weight_v"):
            name, gains = name.removesuffix("_v"), stored[name.removesuffix("v") + "g"]
            values = gains * values / np.sqrt(np.square(values).sum(axis=(1, 2), keepdims=True) + 1e-30)
        weights[name] = values.astype(np.float32)
    return Model(folder.name, config, weights)


# ---- 5 Layers ----------------------------------------------------------------------------------------
# Each takes a signal x [C, T] and gives another.


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def pad(x: np.ndarray, left: int, right: int, mode: str) -> np.ndarray:
    """Zeros ("constant") or the mirror image without the edge ("reflect") at both ends. A signal too short for its
    mirror image gets zeros at its end first, and loses as many samples at its end afterwards."""
    zeros = max(0, max(left, right) + 1 - x.shape[1]) if mode == "reflect" else 0
    x = np.pad(np.pad(x, ((0, 0), (0, zeros))), ((0, 0), (left, right)), mode)
    return x[:, :x.shape[1] - zeros]


def norm(model: Model, name: str, x: np.ndarray) -> np.ndarray:
    """The group norm after a convolution, over all channels and times together, if the model has one."""
    if model.config["norm_type"] != "time_group_norm":
        return x
    x = (x - x.mean(dtype=np.float64)) / np.sqrt(x.var(dtype=np.float64) + 1e-5)
    gain, shift = model.weights[name + ".norm.weight"], model.weights[name + ".norm.bias"]
    return (gain[:, None] * x + shift[:, None]).astype(np.float32)


def convolution(model: Model, name: str, x: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """y[:, t] = bias + sum over j of w[:, :, j] x[:, t * stride + j * dilation], of the padded signal."""
    weight, bias = model.weights[name + ".conv.weight"], model.weights[name + ".conv.bias"]  # [C_out, C_in, kernel]
    span = (weight.shape[2] - 1) * dilation + 1  # samples that one output looks at
    right = 0 if model.config["use_causal_conv"] else (span - stride) // 2
    left = span - stride - right
    n_out = math.ceil(x.shape[1] / stride)
    complete = (n_out - 1) * stride + span - left - x.shape[1]  # `right`, and what completes the last window
    x = pad(x, left, complete, model.config["pad_mode"])
    y = np.tile(bias[:, None], n_out)
    for j in range(weight.shape[2]):
        y += weight[:, :, j] @ x[:, j * dilation:j * dilation + (n_out - 1) * stride + 1:stride]
    return norm(model, name, y)


def transposed_convolution(model: Model, name: str, x: np.ndarray, stride: int) -> np.ndarray:
    """y[:, t * stride + j] += w[:, :, j] x[:, t], and the bias once; then the ends are trimmed."""
    weight, bias = model.weights[name + ".conv.weight"], model.weights[name + ".conv.bias"]  # [C_in, C_out, kernel]
    kernel, n_in = weight.shape[2], x.shape[1]
    y = np.tile(bias[:, None], (n_in - 1) * stride + kernel)
    for j in range(kernel):
        y[:, j:j + (n_in - 1) * stride + 1:stride] += weight[:, :, j].T @ x
    y, trim = norm(model, name, y), kernel - stride
    right = math.ceil(trim * model.config["trim_right_ratio"]) if model.config["use_causal_conv"] else trim // 2
    return y[:, trim - right:y.shape[1] - right]  # n_in * stride samples


def residual_block(model: Model, name: str, x: np.ndarray, dilation: int) -> np.ndarray:
    """A small correction beside a shortcut: shortcut(x) + conv(elu(conv(elu(x))))."""
    y = convolution(model, name + ".block.1", elu(x), dilation=dilation)
    y = convolution(model, name + ".block.3", elu(y))
    return y + (convolution(model, name + ".shortcut", x) if model.config["use_conv_shortcut"] else x)


def lstm(model: Model, name: str, x: np.ndarray) -> np.ndarray:
    """Layers of LSTM in a row, and x added to the last one's output."""
    y = x
    for layer in range(model.config["num_lstm_layers"]):
        w_ih, w_hh, b_ih, b_hh = (model.weights[f"{name}.lstm.{part}_l{layer}"]
                                  for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        gates = w_ih @ y + (b_ih + b_hh)[:, None]  # [4 C, T]: the part that does not depend on the step before
        h = c = np.zeros(len(x), np.float32)
        y = np.empty_like(x)
        for t in range(x.shape[1]):
            i, f, g, o = np.split(gates[:, t] + w_hh @ h, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            y[:, t] = h
    return x + y


# ---- 6 Encoder and decoder ---------------------------------------------------------------------------
# The numbers in the weights' names count all layers, ELUs too.


def encoder(model: Model, x: np.ndarray) -> np.ndarray:
    """Waveform [C, T] to latents [D, F], F = ceil(T / hop)."""
    config = model.config
    x, n = convolution(model, "encoder.layers.0", x), 1
    for stride in reversed(config["upsampling_ratios"]):  # 2, 4, 5, 8
        for j in range(config["num_residual_layers"]):
            x = residual_block(model, f"encoder.layers.{n}", x, config["dilation_growth_rate"] ** j)
            n += 1
        x = convolution(model, f"encoder.layers.{n + 1}", elu(x), stride)  # twice the channels
        n += 2
    x = lstm(model, f"encoder.layers.{n}", x)
    return convolution(model, f"encoder.layers.{n + 2}", elu(x))


def decoder(model: Model, x: np.ndarray) -> np.ndarray:
    """Latents [D, F] to waveform [C, F * hop]."""
    config = model.config
    x = convolution(model, "decoder.layers.0", x)
    x, n = lstm(model, "decoder.layers.1", x), 2
    for stride in config["upsampling_ratios"]:  # 8, 5, 4, 2
        x = transposed_convolution(model, f"decoder.layers.{n + 1}", elu(x), stride)  # half the channels
        n += 2
        for j in range(config["num_residual_layers"]):
            x = residual_block(model, f"decoder.layers.{n}", x, config["dilation_growth_rate"] ** j)
            n += 1
    return convolution(model, f"decoder.layers.{n + 1}", elu(x))


# ---- 7 Residual vector quantiser ---------------------------------------------------------------------


def codebook(model: Model, k: int) -> np.ndarray:
    """The entries [N, D] of codebook k."""
    return model.weights[f"quantizer.layers.{k}.codebook.embed"]


def quantise(model: Model, z: np.ndarray, codebooks: int) -> np.ndarray:
    """Latents [D, F] to codes [K, F]: each codebook names its entry nearest to what those before it left over."""
    rest, codes = z.T.copy(), []  # [F, D]
    for k in range(codebooks):
        entries = codebook(model, k)
        scores = rest @ entries.T - np.square(entries).sum(axis=1) / 2  # the largest where |rest - entry| is least
        codes.append(scores.argmax(axis=1))
        rest -= entries[codes[-1]]
    return np.array(codes)


def dequantise(model: Model, codes: np.ndarray) -> np.ndarray:
    """Codes [K, F] to latents [D, F]: the sum of the entries that they name."""
    return sum(codebook(model, k)[row] for k, row in enumerate(codes)).T


# ---- 8 A whole signal --------------------------------------------------------------------------------


def encode(model: Model, wav: np.ndarray, bandwidth: float) -> list[Segment]:
    """Code a signal, float32 [C, T], at `bandwidth` kbit/s."""
    config = model.config
    if bandwidth not in config["target_bandwidths"]:
        raise ValueError(f"expected a bandwidth of {config['target_bandwidths']} kbit/s, got {bandwidth:g}")
    codebooks, segments = codebooks_for(config, bandwidth), []
    for where in segment_slices(config, wav.shape[1]):
        x, scale = wav[:, where], None
        if config["normalize"]:  # by the RMS of the mono mix
            scale = np.float32(np.sqrt(np.square(x.mean(axis=0)).mean(dtype=np.float64)) + 1e-8)
            x = x / scale
        segments.append(Segment(quantise(model, encoder(model, x), codebooks), scale))
    return segments


def decode(model: Model, segments: list[Segment], length: int) -> np.ndarray:
    """Sound again, float32 [C, length]. Neighbouring segments are cross-faded: each is weighted by a triangle, and
    the sum divided by the sum of the weights. The triangle is that of the first segment, cut for shorter ones."""
    total, weights, triangle = np.zeros((model.config["audio_channels"], length), np.float32), np.zeros(length), None
    for where, (codes, scale) in zip(segment_slices(model.config, length), segments):
        x = decoder(model, dequantise(model, codes))
        if triangle is None:
            triangle = 0.5 - np.abs(np.linspace(0, 1, x.shape[1] + 2)[1:-1] - 0.5)
        n = where.stop - where.start  # what a last, incomplete frame has too much is dropped
        total[:, where] += triangle[:n] * x[:, :n] * (1 if scale is None else scale)
        weights[where] += triangle[:n]
    return (total / weights).astype(np.float32)


# ---- Sound files, and the command line --------------------------------------------------------------


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """float32 [C, T] and the sample rate of a 16-bit WAV file."""
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2 or file.getnchannels() > 2 or not file.getnframes():
            raise ValueError(f"expected 16-bit WAV, mono or stereo, got {8 * file.getsampwidth()} bits, "
                             f"{file.getnchannels()} channels, {file.getnframes()} samples")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return samples.T.astype(np.float32) / 32768, file.getframerate()


def write_wav(path: Path, wav: np.ndarray, sample_rate: int) -> None:
    samples = np.clip(np.rint(wav * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((len(wav), 2, sample_rate, 0, "NONE", ""))
        file.writeframes(samples.T.tobytes())


def encode_file(source: Path, target: Path, folder: Path | None, bandwidth: float) -> None:
    wav, rate = read_wav(source)
    model = load_model(folder or WEIGHTS / ("tiny_48khz" if rate == 48_000 else "tiny_24khz"))
    if rate != model.config["sampling_rate"]:
        raise ValueError(f"expected {model.config['sampling_rate']} Hz for {model.name}, got {rate} Hz")
    if len(wav) != model.config["audio_channels"]:  # mono to stereo, or stereo to mono
        wav = np.repeat(wav, 2, axis=0) if len(wav) == 1 else wav.mean(axis=0, keepdims=True)
    segments = encode(model, wav, bandwidth)
    header = Header(model.name, wav.shape[1], len(segments[0].codes))
    target.write_bytes(header_bytes(header) + payload_bytes(model.config, segments))


def decode_file(source: Path, target: Path, folder: Path | None) -> None:
    header, payload = read_header(source.read_bytes())
    model = load_model(folder or WEIGHTS / header.model)
    if (most := codebooks_for(model.config, model.config["target_bandwidths"][-1])) < header.codebooks:
        raise ValueError(f"expected at most {most} codebooks for {model.name}, got {header.codebooks}")
    segments = read_payload(model.config, header, payload)
    write_wav(target, decode(model, segments, header.length), model.config["sampling_rate"])


def main() -> None:
    parser = argparse.ArgumentParser(description="WAV to .ecdc, or .ecdc to WAV, by the name of the input.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="default: the bundled one that fits")
    parser.add_argument("--bandwidth", type=float, default=6.0, metavar="KBIT/S", help="when encoding; default: 6")
    given = parser.parse_args()
    try:
        if given.source.suffix == ".ecdc":
            decode_file(given.source, given.target, given.model)
        else:
            encode_file(given.source, given.target, given.model, given.bandwidth)
    except (ValueError, OSError, EOFError, wave.Error) as error:
        sys.exit(f"{given.source}: {error}")


if __name__ == "__main__":
    main()
