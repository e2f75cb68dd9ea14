"""Training clips: sources of several kinds, mixed, in rooms, sometimes clipped.

    s1 0.32   one music source               s3 0.24   two sources of any kind
    s2 0.32   one other source               s4 0.12   three sources, none of them music

Each source at full scale of its file is set to half of that, then gets a gain of -10 ... +6 dB; with probability 0.2
it sounds in a room, and a clip is overdriven with probability 0.01. (Paper, section 4.1; there the rooms are recorded
ones, here they are noise that decays.) With these shares, of 100 clips 26 hold one voice and 36 more than one source;
a codec that is to carry single voices above all can be shown more of them.

A batch is a function of seed, step and process alone: training that goes on from a checkpoint meets the same clips as
if it had not stopped.
"""

from collections.abc import Mapping

import numpy as np
from scipy import fft

from tinyencodec.train.augment import altered
from tinyencodec.train.packed import PackedCorpus

STRATEGIES = {"s1": 0.32, "s2": 0.32, "s3": 0.24, "s4": 0.12}
_OTHER = {"speech": 0.8, "effects": 0.2}
_GAIN = (-10.0, 6.0)  # dB
_ROOM, _CLIPPED = 0.2, 0.01  # probabilities
_SILENT = 1e-3  # RMS; a clip below it is drawn again, a few times
_FAINT = 1e-2  # RMS of clips that count half
HEARD = 1e-4  # RMS of a clip from which something can be learnt: that of the faintest sound, with the smallest gain


class Mixer:
    """Draws batches from a corpus.

    Parameters
    ----------
    length : samples per clip
    seed : of everything that is drawn
    shares : of the strategies, relative to each other
    alter : probability that a source is changed as in `augment`
    """

    def __init__(self, corpus: PackedCorpus, length: int, seed: int, shares: Mapping[str, float] = STRATEGIES,
                 alter: float = 0.0):
        self.corpus, self.length, self.seed, self.shares, self.alter = corpus, length, seed, shares, alter

    def batch(self, step: int, size: int, rank: int = 0) -> np.ndarray:
        """The clips of a step, float32 [size, C, length], within -1 ... 1."""
        rng = np.random.default_rng([self.seed, step, rank])
        return np.stack([self.clip(rng) for _ in range(size)])

    def clip(self, rng: np.random.Generator) -> np.ndarray:
        """One clip, float32 [C, length]."""
        mix = sum(self._source(kind, rng) for kind in draw_kinds(rng, self.shares))
        if rng.random() < _CLIPPED:
            drive = 10 ** (rng.uniform(6, 18) / 20)
            mix = np.clip(mix * drive, -1, 1) / drive
        return np.clip(mix, -1, 1).astype(np.float32)

    def _source(self, kind: str, rng: np.random.Generator) -> np.ndarray:
        if kind not in self.corpus.entries:  # a corpus of one kind is possible
            kind = sorted(self.corpus.entries)[int(rng.integers(len(self.corpus.entries)))]
        for _ in range(4):
            if self.alter and rng.random() < self.alter:
                wav = altered(lambda n: self.corpus.random_clip(kind, n, rng), self.length, self.corpus.sample_rate,
                              rng)
            else:
                wav = self.corpus.random_clip(kind, self.length, rng)
            if np.sqrt(np.mean(np.square(wav))) > _SILENT:
                break
        wav = 0.5 * 10 ** (rng.uniform(*_GAIN) / 20) * wav
        return reverberate(wav, self.corpus.sample_rate, rng) if rng.random() < _ROOM else wav


def draw_kinds(rng: np.random.Generator, shares: Mapping[str, float] = STRATEGIES) -> list[str]:
    """The kinds of the sources of one clip, if strategies have these shares, relative to each other."""
    strategy = rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values()))
    if strategy == "s1":
        return ["music"]
    if strategy == "s3":
        return [_other(rng) if rng.random() < 0.5 else "music" for _ in range(2)]
    return [_other(rng) for _ in range(1 if strategy == "s2" else 3)]


def _other(rng: np.random.Generator) -> str:
    return str(rng.choice(list(_OTHER), p=list(_OTHER.values())))


def reverberate(wav: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The sound [C, T] in a room that falls by 60 dB within 0.1 ... 1 s, as loud as without.

    The room's answer is noise under exp(-6.9 t / T60), behind the direct sound.
    """
    length = wav.shape[1]
    fall = rng.uniform(0.1, 1.0)  # seconds
    t = np.arange(1, length, dtype=np.float32) / sample_rate
    answer = rng.standard_normal((len(wav), length - 1), np.float32) * np.exp(-6.9 * t / np.float32(fall))
    answer *= rng.uniform(0.2, 0.9) / np.sqrt(np.square(answer).sum(axis=1, keepdims=True) + 1e-12)
    answer = np.concatenate([np.ones((len(wav), 1), np.float32), answer], axis=1)
    size = fft.next_fast_len(2 * length, real=True)
    wet = fft.irfft(fft.rfft(wav, size) * fft.rfft(answer, size), size)[:, :length]
    return (wet * np.sqrt(np.mean(np.square(wav)) / (np.mean(np.square(wet)) + 1e-12))).astype(np.float32)


def with_sound(clips: np.ndarray) -> np.ndarray:
    """Clips [B, C, T], each silent one replaced by another of them; [0, C, T] if all are silent.

    Silence looks the same for any codec, but gradients of what is relative to a signal's size are enormous there.
    """
    heard = np.flatnonzero(np.sqrt(np.mean(np.square(clips), axis=(1, 2))) > HEARD)
    return clips if len(heard) == len(clips) else clips[np.resize(heard, len(clips) if len(heard) else 0)]


def loudness_share(clips: np.ndarray) -> float:
    """How much clips count where long averages are made: from 0 for silence to 1 for clips of a usual loudness."""
    power = float(np.mean(np.square(clips)))
    return power / (power + _FAINT**2)
