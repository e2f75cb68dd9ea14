"""A corpus packed for training: few large files of samples, read by memory map, and a table of what is where.

    manifest.csv           one row per sound: split, kind, where it lies, and where it is from
    train-speech.i16, ...  one file per split and kind: int16, interleaved, all sounds in a row
    licences/              each package's copyright file

Sounds are stored at full scale (peak 32767), since training draws its own gains. Whole sounds belong to one split,
by a hash of their name: adding more sounds later moves none from one split to another.
"""

import csv
import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

SPLITS = ("train", "validation", "test")
KINDS = ("speech", "music", "effects")
MANIFEST = "manifest.csv"
_HELD_OUT = 0.05  # of the names, for validation, and as many for test


@dataclass
class Entry:
    """One sound of the corpus: a row of the manifest.

    offset, length : samples per channel from the start of its file, and of its own
    gain : what its samples were multiplied by to reach full scale
    original_rate, sample_rate : Hz, of the source and of the corpus
    """

    split: str
    kind: str
    offset: int
    length: int
    seconds: float
    sample_rate: int
    channels: int
    original_rate: int
    gain: float
    package: str
    licence: str
    name: str

    @property
    def shard(self) -> str:
        """The name of the file that holds its samples."""
        return f"{self.split}-{self.kind}.i16"


def split_of(name: str) -> str:
    """The split that a sound of this name belongs to."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    return "test" if share < _HELD_OUT else "validation" if share < 2 * _HELD_OUT else "train"


def kind_of(name: str, kind: str) -> str:
    """The kind of a sound below a folder of `kind`: among effects, a folder "music" holds music, "voices" speech."""
    folders = {part.lower() for part in Path(name).parent.parts} if kind == "effects" else set()
    return "music" if "music" in folders else "speech" if "voices" in folders else kind


def pack_samples(wav: np.ndarray) -> tuple[np.ndarray, float]:
    """float [C, T] -> int16 [T, C] with a peak of 32767, and the gain. `ValueError` if it is silent."""
    peak = float(np.abs(wav).max(initial=0))
    if peak < 1e-3:
        raise ValueError(f"expected sound, got silence (peak {peak:.2g})")
    return np.round(wav.T * (32767 / peak)).astype("<i2"), 1 / peak


def write_manifest(folder: Path, entries: list[Entry]) -> None:
    """Write the table of what is in the corpus."""
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as fo:
        writer = csv.writer(fo)
        writer.writerow([field.name for field in fields(Entry)])
        for entry in entries:
            writer.writerow([getattr(entry, field.name) for field in fields(Entry)])


def read_manifest(folder: Path) -> list[Entry]:
    """The rows of a corpus' manifest. Raises `OSError`, or `ValueError` if it is none or empty."""
    path = folder / MANIFEST
    with path.open(newline="", encoding="utf-8") as fo:
        try:
            types: dict[str, Any] = {field.name: field.type for field in fields(Entry)}
            entries = [Entry(**{name: kind(row[name]) for name, kind in types.items()})
                       for row in csv.DictReader(fo)]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected a corpus' manifest, got another table: {error}") from None
    if not entries:
        raise ValueError(f"{path}: expected at least one sound, got none")
    return entries


class PackedCorpus:
    """The sounds of one split.

    Parameters
    ----------
    folder : a packed corpus
    split : one of SPLITS

    Attributes
    ----------
    sample_rate (Hz), channels : of all sounds
    entries : by kind, the sounds' rows; kinds without sounds are missing

    Raises `OSError` or `ValueError` if the folder holds no whole corpus with sounds of this split.
    """

    def __init__(self, folder: Path, split: str):
        entries = [entry for entry in read_manifest(Path(folder)) if entry.split == split]
        if not entries:
            raise ValueError(f"{folder}: expected sounds of the split {split!r}, got none")
        self.sample_rate, self.channels = entries[0].sample_rate, entries[0].channels
        self.entries = {kind: rows for kind in KINDS if (rows := [e for e in entries if e.kind == kind])}
        self._samples, self._ends = {}, {}
        for kind, rows in self.entries.items():
            path = Path(folder) / rows[0].shard
            self._samples[kind] = np.memmap(path, "<i2", mode="r").reshape(-1, self.channels)
            needed = max(row.offset + row.length for row in rows)
            if len(self._samples[kind]) < needed:
                raise ValueError(f"{path}: expected {needed} samples per channel, got {len(self._samples[kind])}")
            self._ends[kind] = np.cumsum([row.length for row in rows])

    def seconds(self, kind: str) -> float:
        """How much there is of a kind."""
        return float(self._ends[kind][-1] / self.sample_rate) if kind in self.entries else 0.0

    def clip(self, entry: Entry, start: int, length: int) -> np.ndarray:
        """Samples start ... start + length of a sound, silence behind its end: float32 [C, length], peak up to 1."""
        begin, end = entry.offset + min(start, entry.length), entry.offset + min(start + length, entry.length)
        found = self._samples[entry.kind][begin:end].T.astype(np.float32) / 32768
        return np.pad(found, ((0, 0), (0, length - found.shape[1])))

    def random_clip(self, kind: str, length: int, rng: np.random.Generator) -> np.ndarray:
        """A clip from anywhere in a kind, each second of sound as likely: float32 [C, length]."""
        row = int(np.searchsorted(self._ends[kind], rng.integers(self._ends[kind][-1]), side="right"))
        entry = self.entries[kind][row]
        return self.clip(entry, int(rng.integers(max(1, entry.length - length + 1))), length)
