"""The sounds to measure on: clips from anywhere in audio files, or in the part of a corpus that was held out.

What is drawn depends on the seed, the kind's name and the sounds, and on nothing else: not on the model, nor on the
other kinds. Groups of sounds (a package of the corpus, a path of the command line), and sounds in them, take turns, so
that neither the largest nor the longest rules. No two clips overlap.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from tinyencodec.audio.files import convert_audio
from tinyencodec.system.inputs import AUDIO, find_inputs
from tinyencodec.system.stdio import quiet_libraries

PEAK = 0.5  # louder clips are scaled down to it, so that no decoder clips
SHORTEST = 0.5  # seconds, of a sound that is used if there are not enough longer ones
_ENDLESS = 1 << 40  # samples: what libsndfile says when it does not know is more
_SILENCE = 0.01  # root mean square of a clip that is drawn again


class Clip(NamedTuple):
    """A piece of a sound: float32 [C, T] of whole numbers / 32768, so that a 16-bit file holds it exactly."""

    kind: str
    name: str
    start: float  # seconds
    wav: np.ndarray


class Sound(NamedTuple):
    """Where clips are from. `read(start, seconds)` gives float32 [C, T]."""

    name: str
    seconds: float
    read: Callable[[float, float], np.ndarray]


Opener = Callable[[], Sound | None]  # opens a sound when it is its turn; None: it cannot be used


def draw_clips(kind: str, groups: list[list[Opener]], count: int, seconds: float, seed: int) -> list[Clip]:
    """Up to `count` clips of `seconds`, none of them silent; fewer where there is not more sound.

    Sounds that are too short for a clip take part, whole, if those that are not do not suffice. Raises `ValueError`
    if there is nothing to use.
    """
    random = np.random.default_rng([seed, *kind.encode()])
    clips: list[Clip] = []
    waiting, short = _in_turn(groups, random), []
    begun: list[tuple[Sound, Iterator[float]]] = []
    while len(clips) < count and waiting:
        sound = waiting.pop(0)()
        if sound is not None and sound.seconds >= seconds:
            begun.append((sound, _places(sound, seconds, random)))
            _take(clips, kind, *begun[-1], seconds)
        elif sound is not None and sound.seconds >= SHORTEST:
            short.append(sound)
    while len(clips) < count and begun:  # round by round
        begun = [pair for pair in begun if len(clips) < count and _take(clips, kind, *pair, seconds)]
    for sound in short:
        if len(clips) < count:
            _take(clips, kind, sound, iter([0.0]), sound.seconds)
    if not clips:
        raise ValueError(f"{kind}: expected sound of at least {SHORTEST:g} s that is not silent, got none")
    return clips


def _in_turn(groups: list[list[Opener]], random: np.random.Generator) -> list[Opener]:
    """The first of each group, then the second of each, ...: groups and their sounds in random order."""
    orders = [[group[i] for i in random.permutation(len(group))] for group in groups]
    orders = [orders[i] for i in random.permutation(len(orders))]
    return [order[i] for i in range(max(map(len, orders), default=0)) for order in orders if i < len(order)]


def _places(sound: Sound, seconds: float, random: np.random.Generator) -> Iterator[float]:
    """Where clips may start, in random order, such that they do not overlap."""
    count = int(sound.seconds / seconds)
    offset = random.uniform(0, sound.seconds - count * seconds)
    return iter([offset + int(i) * seconds for i in random.permutation(count)])


def _take(clips: list[Clip], kind: str, sound: Sound, places: Iterator[float], seconds: float) -> bool:
    """Add the clip at the next place that is not silent; False if there is none."""
    for start in places:
        wav = sound.read(start, seconds)
        if wav.shape[1] == 0:
            continue
        wav = np.round(wav * (32768 * min(1, PEAK / max(np.abs(wav).max(), 1e-9)))) / 32768
        if np.sqrt(np.mean(np.square(wav))) > _SILENCE:
            clips.append(Clip(kind, sound.name, round(start, 3), wav.astype(np.float32)))
            return True
    return False


def file_sounds(paths: list[Path], sample_rate: int, channels: int) -> list[list[Opener]]:
    """The audio files at, or below, each of `paths`. Raises `OSError` or `ValueError` for a path that is neither.

    Files in a folder that turn out not to be audio, or to be damaged, are passed over.
    """
    found = []
    for path in paths:
        if path.is_dir():
            found.append([(file.path, str(file.name), True) for file in find_inputs([str(path)], AUDIO)])
        else:
            path.stat()  # FileNotFoundError
            found.append([(path, path.name, False)])
    return [[partial(_open_file, *args, sample_rate, channels) for args in group] for group in found]


def _open_file(path: Path, name: str, optional: bool, sample_rate: int, channels: int) -> Sound | None:
    """The sound of a file. One that is `optional` and cannot be used is None, or has no samples to read."""

    @contextmanager
    def usable(expected: str) -> Iterator[None]:
        try:
            with quiet_libraries():
                yield
        except (soundfile.LibsndfileError, ValueError) as error:
            if not optional:
                raise ValueError(f"{path}: expected {expected}, got {error}") from None

    def read(start: float, seconds: float) -> np.ndarray:
        with usable("undamaged sound of finite samples"), soundfile.SoundFile(path) as file:
            file.seek(int(start * file.samplerate))
            wav = file.read(round(seconds * file.samplerate), dtype="float32", always_2d=True).T
            wav = convert_audio(wav, file.samplerate, sample_rate, channels) if wav.size else wav
            return wav[:, :round(seconds * sample_rate)]
        return np.zeros((channels, 0), np.float32)

    with usable("an audio file, or a folder of them"):
        info = soundfile.info(path)
        if info.frames >= _ENDLESS:
            raise ValueError("one that does not tell its length")
        return Sound(name, info.frames / info.samplerate, read)
    return None


def corpus_sounds(folder: Path, split: str, sample_rate: int, channels: int) -> dict[str, list[list[Opener]]]:
    """The sounds of a packed corpus (`train.packed`), by kind and package. Raises `OSError` or `ValueError`."""
    from tinyencodec.train.packed import Entry, PackedCorpus

    corpus = PackedCorpus(folder, split)

    def sound(entry: Entry) -> Sound:
        def read(start: float, seconds: float) -> np.ndarray:
            wav = corpus.clip(entry, int(start * corpus.sample_rate), round(seconds * corpus.sample_rate))
            return convert_audio(wav, corpus.sample_rate, sample_rate, channels)

        return Sound(f"{entry.package}/{entry.name}", entry.length / corpus.sample_rate, read)

    return {kind: [[partial(sound, entry) for entry in rows if entry.package == package]
                   for package in dict.fromkeys(entry.package for entry in rows)]
            for kind, rows in corpus.entries.items()}
