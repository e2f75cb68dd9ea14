"""A corpus packed for training: few large files of samples, read by memory map, and a table of what is where.

    manifest.csv           one row per sound: split, kind, where it lies, and where it is from
    train-speech.i16, ...  one file per split and kind: int16, interleaved, all sounds in a row
    licences/              each package's copyright file

Sounds are stored at full scale (peak 32767), since training draws its own gains. Whole sounds belong to one split,
by a hash of their name: adding more sounds later moves none from one split to another. Among a few sounds the hash may
leave a split empty; then `divide` holds out a part of one.
"""

import csv
import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.system.errors import require

SPLITS = ("train", "validation", "test")
KINDS = ("speech", "music", "effects")
MANIFEST = "manifest.csv"
_HELD_OUT = 0.05  # of the names, for validation, and as many for test
_PART = 0.1  # of the seconds, if a part of one sound is held out
_SHORTEST = 0.25  # s; a shorter part would tell nothing


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
    if not peak >= 1e-3:
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


def divide(entries: list[Entry]) -> tuple[dict[str, list[Entry]], str]:
    """The rows of each split, and a remark on what is not as in the manifest (empty if nothing is).

    If there is nothing to learn from, the sounds of the test are, or else those of the validation. If nothing is left
    to validate on, the end of the longest sound to learn from is held out: a tenth of the seconds of all, at most half
    of that sound, or nothing if that is too short. Rows keep the name of the split in whose file their samples lie.
    """
    rows = {split: [entry for entry in entries if entry.split == split] for split in SPLITS}
    remarks = []
    if not rows["train"]:
        lender = "test" if rows["test"] else "validation"
        rows["train"], rows[lender] = rows[lender], []
        remarks.append(f"no sound falls into training: those for {lender} are learnt from")
    if rows["train"] and not rows["validation"]:
        longest = max(rows["train"], key=lambda entry: entry.length)
        part = int(min(_PART * sum(entry.length for entry in rows["train"]), longest.length / 2))
        if part >= _SHORTEST * longest.sample_rate:
            left, seconds = longest.length - part, part / longest.sample_rate
            rows["train"] = [replace(entry, length=left, seconds=round(left / entry.sample_rate, 3))
                             if entry is longest else entry for entry in rows["train"]]
            rows["validation"] = [replace(longest, offset=longest.offset + left, length=part,
                                          seconds=round(seconds, 3))]
            remarks.append(f"no whole sound falls into validation: the last {seconds:.2f} s of {longest.name} are held "
                           "out")
        else:
            remarks.append("no sound falls into validation, and there is too little to hold out a part of one: nothing "
                           "is validated")
    return rows, "; ".join(remarks)


def for_training(folder: Path, config: CodecConfig, seconds: float) -> tuple["PackedCorpus", int]:
    """The sounds that a codec of `config` can learn from, and the samples of a clip of `seconds`.

    Raises `OSError`, or `ValueError` for a corpus of another rate or number of channels, or clips that are too short.
    """
    corpus, length = PackedCorpus(folder, "train"), int(seconds * config.sampling_rate)
    if (corpus.sample_rate, corpus.channels) != (config.sampling_rate, config.audio_channels):
        raise ValueError(f"{folder}: expected {config.audio_channels} channel(s) at {config.sampling_rate} Hz, "
                         f"got {corpus.channels} at {corpus.sample_rate}")
    least = 2 * config.hop_length
    require(length >= least, "seconds", f"clips of at least {least / config.sampling_rate:.2g} s, two frames", seconds)
    return corpus, length


class PackedCorpus:
    """The sounds of one split, as `divide` has it.

    Parameters
    ----------
    folder : a packed corpus
    split : one of SPLITS
    or_none : whether a split without sounds will do

    Attributes
    ----------
    sample_rate (Hz), channels : of all sounds
    entries : by kind, the sounds' rows; kinds without sounds are missing
    remark : of `divide`

    Raises `OSError` or `ValueError` if the folder holds no whole corpus, or no sounds of this split and not `or_none`.
    """

    def __init__(self, folder: Path, split: str, or_none: bool = False):
        manifest = read_manifest(Path(folder))
        splits, self.remark = divide(manifest)
        entries = splits[split]
        if not entries and not or_none:
            raise ValueError(f"{folder}: expected sounds of the split {split!r}, got none")
        self.sample_rate, self.channels = manifest[0].sample_rate, manifest[0].channels
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
