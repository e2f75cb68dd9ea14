"""`python -m tinyencodec.train.corpus`: gather sounds, hold some out, pack them for training.

    python -m tinyencodec.train.corpus --debian downloads/ corpus24/
    python -m tinyencodec.train.corpus corpus24/ --speech ~/readings --music ~/songs ~/more
    python -m tinyencodec.train.corpus --debian downloads/ --without festvox-ru,nexuiz-music corpus24/
    python -m tinyencodec.train.corpus --debian downloads/ --rate 48000 --channels 2 --min-rate 44100 corpus48/
    python -m tinyencodec.train.corpus --subset corpus24/ --limit-mb 60 small24/

What comes out is described in `packed`, what `--debian` fetches in `debian`. `--subset` makes a smaller corpus of a
packed one, for a machine that has no network: a piece from the middle of as many sounds as fit.
"""

import argparse
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyencodec.train.command import run, tell
from tinyencodec.train.debian import PACKAGES, TAKEN, TESTED, copyright_text, fetch, licence_names
from tinyencodec.train.packed import (
    KINDS,
    MANIFEST,
    SPLITS,
    Entry,
    divide,
    kind_of,
    pack_samples,
    read_manifest,
    split_of,
    write_manifest,
)
from tinyencodec.train.sounds import find_sounds, readable

_SPLIT_SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}  # of a subset
_KIND_SHARES = {"speech": 0.45, "music": 0.45, "effects": 0.1}
_ALL = re.compile("")  # is found in every name


class CorpusWriter:
    """Appends sounds to the files of a new corpus at `folder`, and writes the manifest at the end."""

    def __init__(self, folder: Path, sample_rate: int, channels: int):
        if (folder / MANIFEST).exists():
            raise ValueError(f"{folder}: expected a new folder for the corpus, got one in use")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.sample_rate, self.channels = folder, sample_rate, channels
        for split in SPLITS:
            for kind in KINDS:
                (folder / f"{split}-{kind}.i16").unlink(missing_ok=True)  # of a run that did not come to its end
        self.entries: list[Entry] = []
        self._offsets: Counter[str] = Counter()

    def add(self, samples: np.ndarray, entry: Entry) -> None:
        """Append int16 [T, C], described by `entry`; place and length are filled in."""
        offset = self._offsets[entry.shard]
        with (self.folder / entry.shard).open("ab") as fo:
            fo.write(samples.tobytes())
        self._offsets[entry.shard] += len(samples)
        seconds = round(len(samples) / self.sample_rate, 3)
        self.entries.append(replace(entry, offset=offset, length=len(samples), seconds=seconds))

    def add_folder(self, folder: Path, kind: str, package: str, licence: str, min_rate: int,
                   wanted: re.Pattern = _ALL, longest: float = np.inf, links: bool = True) -> Counter:
        """Append the sounds below `folder` in whose names `wanted` is found, and that are shorter than `longest` s.

        links : whether links are followed, see `sounds`

        Returns how many were taken, passed over, too low in rate, or unreadable.
        """
        counts: Counter[str] = Counter()
        for sound in find_sounds(folder, links):
            if not wanted.search(sound.name):
                counts["passed over"] += 1
                continue
            try:
                if (rate := sound.rate()) < min_rate:
                    counts["below the rate"] += 1
                    continue
                wav = sound.read(self.sample_rate, self.channels)
                if wav.shape[1] >= longest * self.sample_rate:
                    counts["passed over"] += 1
                    continue
                samples, gain = pack_samples(wav)
            except (ValueError, EOFError, OSError, MemoryError) as error:
                counts["unreadable or silent"] += 1
                tell(f"left out: {sound.name}: {error}")
                continue
            split = split_of(f"{package}/{sound.name}")
            self.add(samples, Entry(split, kind_of(sound.name, kind), 0, 0, 0.0, self.sample_rate, self.channels, rate,
                                    round(gain, 6), package, licence, sound.name))
            counts["taken"] += 1
        return counts

    def finish(self) -> None:
        """Write the manifest. Raises `ValueError` if there is nothing to write."""
        if not self.entries:
            raise ValueError(f"{self.folder}: expected at least one sound, got none")
        write_manifest(self.folder, self.entries)


def build(args: argparse.Namespace) -> None:
    """Gather the sounds that the command line names."""
    if args.subset:
        return subset(args.subset, args.out, args.limit_mb, args.piece)
    without = set(filter(None, args.without.split(",")))
    if without and not args.debian:
        raise ValueError(f"--without: expected --debian beside it, got {args.without} alone")
    if unknown := without - set(PACKAGES):
        raise ValueError(f"--without: expected some of {', '.join(PACKAGES)}, got {', '.join(sorted(unknown))}")
    writer = CorpusWriter(args.out, args.rate, args.channels)
    for kind in KINDS:
        for folder in getattr(args, kind):
            if not folder.is_dir():
                raise ValueError(f"{folder}: expected a folder of audio, got none")
            counts = writer.add_folder(folder, kind, readable(folder.resolve().name), args.licence, args.min_rate)
            print(f"{folder}: {dict(counts)}")
    for package, kind in PACKAGES.items() if args.debian else ():
        if package in without:
            continue
        tree = fetch(package, args.debian)
        text = copyright_text(tree, package)
        (args.out / "licences").mkdir(exist_ok=True)
        (args.out / "licences" / f"{package}.txt").write_text(text, encoding="utf-8")
        counts = writer.add_folder(tree, kind, package, licence_names(text), args.min_rate, TAKEN.get(package, _ALL),
                                   TESTED.get(package, np.inf), links=False)  # they may lead out of the package
        print(f"{package}: {dict(counts)}")
    writer.finish()
    summarise(writer.entries)


def subset(source: Path, out: Path, limit_mb: float, seconds: float) -> None:
    """Copy the middle of each sound of a packed corpus, at most `seconds` of it, until there are `limit_mb` MiB.

    Each split and kind has a fixed share of them.
    """
    entries = read_manifest(source)
    sample_rate, channels = entries[0].sample_rate, entries[0].channels
    writer, piece = CorpusWriter(out, sample_rate, channels), int(seconds * sample_rate)
    budget = limit_mb * 2**20 / (2 * channels)  # samples
    for shard in sorted({entry.shard for entry in entries}):
        rows = [entry for entry in entries if entry.shard == shard]
        room = int(budget * _SPLIT_SHARES[rows[0].split] * _KIND_SHARES[rows[0].kind])
        samples = np.memmap(source / shard, "<i2", mode="r").reshape(-1, channels)
        for at in np.random.default_rng(0).permutation(len(rows)):
            row = rows[at]
            length = min(row.length, piece, room)
            start = row.offset + (row.length - length) // 2
            if length > sample_rate // 2:
                writer.add(samples[start:start + length], row)
                room -= length
    writer.finish()
    summarise(writer.entries)


def summarise(entries: list[Entry]) -> None:
    """Print hours and sounds of each split and kind."""
    for split in SPLITS:
        for kind in KINDS:
            rows = [entry for entry in entries if (entry.split, entry.kind) == (split, kind)]
            print(f"{split:10} {kind:8} {len(rows):5} sounds {sum(row.seconds for row in rows) / 3600:7.2f} h")
    if remark := divide(entries)[1]:
        print(remark)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.corpus",
                                     description="Gather sounds and pack them for training.")
    add = parser.add_argument
    add("out", type=Path, help="folder for the packed corpus")
    for kind in KINDS:
        add(f"--{kind}", metavar="FOLDER", type=Path, nargs="+", default=[], help=f"folders of {kind}")
    add("--debian", metavar="FOLDER", type=Path, help="fetch the free packages of Debian, and keep them there")
    add("--without", metavar="NAME,NAME...", default="", help="packages of Debian to leave out")
    add("--licence", default="the user's", help="what the manifest says for your own folders")
    add("--rate", type=int, default=24_000, metavar="HZ", help="default: %(default)d")
    add("--channels", type=int, default=1, choices=(1, 2), help="default: %(default)d")
    add("--min-rate", type=int, default=16_000, metavar="HZ", help="leave out what is below; default: %(default)d")
    add("--subset", metavar="CORPUS", type=Path, help="make a smaller corpus of this packed one")
    add("--limit-mb", metavar="MIB", type=float, default=60.0, help="size of a subset; default: %(default)g")
    add("--piece", metavar="S", type=float, default=20.0, help="seconds of each sound in it; default: %(default)g")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: build(args))


if __name__ == "__main__":
    sys.exit(main())
