"""A day of sound through two pipes: encode and decode, with memory, order and number of samples watched.

    python tests/slow/soak.py [--hours H] [--model NAME|small] [--sample MINUTES] [--growth MIB]

Runs `tinyencodec --raw s16le ... - - | tinyencodec - -` on synthetic sound, as fast as it goes. The sound is a minute
of chords, noise and silence, over and over, so that the output can be judged though nobody could keep it: each minute
is compared with the second minute of a batch decode of two. (Not bit by bit: a recurrent network does not forget the
past quite, and now and then a code at a tie falls to the other side.) A sample that is lost, added or delayed anywhere,
or a state that drifts, leaves nothing alike in all later minutes.

It is an error (exit code 1) when

- the output has another number of samples than the input,
- a process grows by more than GROWTH MiB after the first tenth of the sound (at most an hour),
- a minute but the first differs from the one expected by more than -ALIKE dB of its energy,
- one of the processes fails.

`small`: a random model of the structure of the official one with 4 filters, for a machine with little time.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
RATE, WIDTH = 24_000, 2  # Hz, bytes per sample
PERIOD = 60 * RATE  # samples: a whole number of frames
ALIKE = 20.0  # dB; a single sample more or less leaves about 0
HEADER = 44  # bytes before the samples of a WAV file


def minute() -> bytes:
    """16-bit samples of chords that change each second, noise, clicks, and some silence."""
    rng, t = np.random.default_rng(0), np.arange(RATE) / RATE
    seconds = []
    for second in range(60):
        pitch = 110 * 2 ** (rng.integers(0, 36, 3)[:, None] / 12)
        wav = 0.15 * np.sin(2 * np.pi * pitch * t).sum(axis=0) * np.exp(-2 * t)
        wav += 0.05 * rng.standard_normal(RATE) * (second % 4 == 0)
        wav[rng.integers(0, RATE)] += 0.5
        seconds.append(wav * (second % 10 != 9))
    return np.rint(32767 * np.clip(np.concatenate(seconds), -0.99, 0.99)).astype("<i2").tobytes()


def small_model(folder: Path) -> Path:
    """A model of random weights: all layers of the official one, few channels."""
    from safetensors.numpy import save_file

    from tinyencodec.codec.config import CodecConfig
    from tinyencodec.models.tensors import expected_tensors

    config = CodecConfig(num_filters=4, hidden_size=16, target_bandwidths=(1.5, 3.0, 6.0))
    rng = np.random.default_rng(1)
    folder.mkdir()
    tensors = {name: rng.standard_normal(shape).astype(np.float32) / np.float32(np.prod(shape[1:]) ** 0.5)
               for name, shape in expected_tensors(config).items()}
    tensors["decoder.layers.15.conv.weight_g"] /= 16  # not too loud
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder


def resident(pid: int) -> float:
    """MiB of memory that a process has."""
    with open(f"/proc/{pid}/statm") as fo:
        return int(fo.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def expected_minute(model: str | None, sound: bytes) -> np.ndarray:
    """The second minute of two, encoded and decoded in one call each: 16-bit samples [T]."""
    import tinyencodec

    loaded = tinyencodec.load_model(model)
    wav = np.frombuffer(2 * sound, "<i2").astype(np.float32)[None] / 32768
    frames = loaded.encode(wav, min(loaded.bandwidths, key=lambda rate: abs(rate - 6.0)))
    return np.rint(32768 * loaded.decode(frames, wav.shape[1])[0, PERIOD:].clip(-0.99, 0.99)).astype(np.int16)


class Listener(threading.Thread):
    """Takes the decoder's output, and keeps of it the number of bytes and how like the expected one each minute is."""

    def __init__(self, fo: io.BufferedIOBase, expected: np.ndarray) -> None:
        super().__init__()
        self.fo, self.expected, self.count, self.alike = fo, expected.astype(np.float32), 0, []

    def run(self) -> None:
        self.fo.read(HEADER)
        energy = float(np.square(self.expected).sum())
        while data := self.fo.read(PERIOD * WIDTH):  # waits until there are as many, or the end has come
            self.count += len(data)
            wav = np.frombuffer(data[:len(data) // WIDTH * WIDTH], "<i2").astype(np.float32)
            error = float(np.square(wav - self.expected[:len(wav)]).sum())
            self.alike.append(10 * np.log10(energy / max(error, 1.0)))  # dB


def soak(hours: float, model: str | None, every: float, growth: float) -> bool:
    """Run it; print what was seen; whether all was well."""
    minutes, sound = max(3, round(60 * hours)), minute()
    with tempfile.TemporaryDirectory() as folder:
        if model == "small":
            model = str(small_model(Path(folder) / "small"))
        sys.path.insert(0, str(ROOT))
        expected, chosen = expected_minute(model, sound), ["-m", model] if model else []
        program = [sys.executable, "-m", "tinyencodec", "--threads", "1", *chosen]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        encoder = subprocess.Popen([*program, "--raw", "s16le", "--rate", str(RATE), "--channels", "1", "-", "-"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        decoder = subprocess.Popen([*program, "-", "-"], stdin=encoder.stdout, stdout=subprocess.PIPE, env=environment)
        encoder.stdout.close()
        listener = Listener(decoder.stdout, expected)
        listener.start()
        began, after, seen = time.monotonic(), min(60, minutes / 10), []
        print(f"{minutes} minutes of sound, model {Path(model).name if model else 'default'}\n"
              f"{'minutes':>8} {'encoder':>10} {'decoder':>10} {'times real time':>16}", flush=True)
        try:
            for i in range(1, minutes + 1):
                encoder.stdin.write(sound)
                if i % max(1, round(every)) == 0 or i in (1, minutes):
                    sizes = resident(encoder.pid), resident(decoder.pid)
                    seen.append((i, *sizes))
                    print(f"{i:8} {sizes[0]:6.1f} MiB {sizes[1]:6.1f} MiB {60 * i / (time.monotonic() - began):16.1f}",
                          flush=True)
        except BrokenPipeError:
            print("a process ended early")
        encoder.stdin.close()
        listener.join()
        codes = encoder.wait(), decoder.wait()
    took = time.monotonic() - began
    later = [sizes for sizes in seen if sizes[0] >= after]
    grown = [max(sizes[p] for sizes in later) - later[0][p] for p in (1, 2)] if later else [0.0, 0.0]
    samples, alike = listener.count // WIDTH, np.array(listener.alike[1:])
    print(f"samples in {minutes * PERIOD}, out {samples}; exit codes {codes}\n"
          f"growth after {later[0][0] if later else 0} minutes: "
          f"encoder {grown[0]:.1f} MiB, decoder {grown[1]:.1f} MiB\n"
          f"minutes compared {len(alike)}: {np.median(alike):.1f} dB above the difference, "
          f"{alike.min():.1f} dB at least\n"
          f"{took:.0f} s, {60 * minutes / took:.1f} times real time", flush=True)
    return codes == (0, 0) and samples == minutes * PERIOD and max(grown) <= growth and alike.min() > ALIKE


def main() -> int:
    """Run it from the command line; 0 if all was well, else 1."""
    parser = argparse.ArgumentParser(description="A day of sound through encoder and decoder.")
    parser.add_argument("--hours", type=float, default=24.0, help="of sound")
    parser.add_argument("--model", help="name or folder; small: a small random one; default: the bundled one")
    parser.add_argument("--sample", type=float, default=60.0, metavar="MINUTES", help="of sound from line to line")
    parser.add_argument("--growth", type=float, default=8.0, metavar="MIB", help="that is still no growth")
    args = parser.parse_args()
    return 0 if soak(args.hours, args.model, args.sample, args.growth) else 1


if __name__ == "__main__":
    sys.exit(main())
