"""`python -m tinyencodec.train.lm_codes`: what a language model learns from, the codes of many sounds in one file.

    python -m tinyencodec.train.lm_codes tiny_24khz codes.safetensors ~/readings ~/songs
    python -m tinyencodec.train.lm_codes weights/tiny_24khz codes.safetensors corpus24/ --copies 3 --tables

The sounds come from folders of audio files, or from a packed corpus (`packed`), here at their original level. Each
becomes one int16 array [F, K] of all the model's codebooks, under the sound's name; the segments of a model that has
them follow one another. Whole sounds are held out by the same hash of their names as in a packed corpus, so what was
held out from the codec is held out from its language model.

A codec gives other codes when a sound starts a few samples later or is a little softer, so `--copies` codes each
sound of the training split again, shifted by a part of a frame and with another gain. Seeded by the name: the same
command writes the same file. But: sounds are taken whole, and all codes must fit into memory.
"""

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tinyencodec.codec.model import EncodecModel
from tinyencodec.models.store import find_model, load_model
from tinyencodec.system.files import atomic_write, check_output
from tinyencodec.system.progress import progress
from tinyencodec.train.command import run, tell
from tinyencodec.train.packed import MANIFEST, SPLITS, PackedCorpus, split_of
from tinyencodec.train.sounds import find_sounds, readable
from tinyencodec.train.tables import count_codes, fit_tables, save_tables

_GAINS = (-12.0, 6.0)  # dB, of a further copy; the louder ones stop at full scale


@dataclass(frozen=True)
class CodecFacts:
    """What a language model has to know of the codec that made the codes.

    name : the codec's
    codebook_size : N
    codebooks : K at each of the codec's bandwidths, ascending
    frame_rate : frames per second
    """

    name: str
    codebook_size: int
    codebooks: tuple[int, ...]
    frame_rate: int

    @classmethod
    def of(cls, model: EncodecModel) -> "CodecFacts":
        """Those of `model`."""
        codebooks = tuple(sorted({model.codebooks_for(bandwidth) for bandwidth in model.bandwidths}))
        return cls(model.name, model.config.codebook_size, codebooks, model.frame_rate)


@dataclass(frozen=True)
class Codes:
    """A codes file: `facts`, and `sounds`, by split and name the codes int16 [F, K]."""

    facts: CodecFacts
    sounds: dict[str, dict[str, np.ndarray]]


def sound_codes(model: EncodecModel, wav: np.ndarray) -> np.ndarray:
    """All codes of a sound, float [C, T] at the model's rate -> int16 [F, K]."""
    frames = model.encode(wav, max(model.bandwidths))
    return np.ascontiguousarray(np.concatenate([codes for codes, _ in frames], axis=1).T.astype("<i2"))


def varied(wav: np.ndarray, hop_length: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of float [C, T] that gives other codes: less than a frame cut from its start, and another gain."""
    wav = wav[:, min(int(rng.integers(hop_length)), wav.shape[1] - 1):]
    gain = 10 ** (rng.uniform(*_GAINS) / 20)
    return wav * min(gain, 1 / max(float(np.abs(wav).max()), 1e-3))


def sounds_in(folder: Path, sample_rate: int, channels: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (name, split, float32 [C, T]) of the sounds in a folder or packed corpus; unreadable ones are skipped.

    Raises `ValueError` for what is no folder, or a corpus of another rate or number of channels.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of audio or a packed corpus, got none")
    if (folder / MANIFEST).exists():
        for split in SPLITS:
            corpus = PackedCorpus(folder, split, or_none=True)
            if (corpus.sample_rate, corpus.channels) != (sample_rate, channels):
                raise ValueError(f"{folder}: expected {sample_rate} Hz and {channels} channels, "
                                 f"got {corpus.sample_rate} and {corpus.channels}")
            for rows in corpus.entries.values():
                for row in rows:
                    yield f"{row.package}/{row.name}", split, corpus.clip(row, 0, row.length) / np.float32(row.gain)
        return
    for sound in find_sounds(folder):
        name = f"{readable(folder.resolve().name)}/{sound.name}"
        try:
            yield name, split_of(name), sound.read(sample_rate, channels)
        except (ValueError, EOFError, OSError, MemoryError) as error:
            tell(f"left out: {name}: {error}")


def code_folders(model: EncodecModel, folders: list[Path], copies: int) -> dict[str, np.ndarray]:
    """The codes of all sounds, by split/name; a further copy of a training sound is called name#1, name#2, ..."""
    arrays: dict[str, np.ndarray] = {}
    done = 0
    with progress("coding") as show:
        for folder in folders:
            for name, split, wav in sounds_in(folder, model.sample_rate, model.channels):
                if f"{split}/{name}" in arrays:
                    tell(f"left out: {name}: there is one of this name already")
                    continue
                arrays[f"{split}/{name}"] = sound_codes(model, wav)
                rng = np.random.default_rng(np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4"))
                for copy in range(1, copies if split == "train" else 1):
                    arrays[f"{split}/{name}#{copy}"] = sound_codes(model, varied(wav, model.hop_length, rng))
                done += wav.shape[1]
                if show:
                    show(done, None)
    return arrays


def write_codes(path: Path, facts: CodecFacts, arrays: dict[str, np.ndarray]) -> None:
    """Write a codes file; `arrays` by split/name. Raises `ValueError` if there are none, `OSError`."""
    if not arrays:
        raise ValueError(f"{path}: expected at least one sound, got none")
    with atomic_write(path, force=True) as fo:
        fo.write(save(arrays, {"codec": json.dumps(asdict(facts))}))


def read_codes(path: Path) -> Codes:
    """Read a codes file. Raises `OSError`, or `ValueError` if it is none."""
    sounds: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    try:
        with safe_open(path, "numpy") as fo:
            fields = json.loads((fo.metadata() or {})["codec"])
            facts = CodecFacts(**{**fields, "codebooks": tuple(fields["codebooks"])})
            for key in sorted(fo.keys()):
                split, name = key.split("/", 1)
                sounds[split][name] = fo.get_tensor(key)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a codes file, got {error}") from None
    for split in SPLITS:
        for name, codes in sounds[split].items():
            if codes.dtype != np.int16 or codes.ndim != 2 or codes.shape[1] != facts.codebooks[-1]:
                raise ValueError(f"{path}: {name}: expected int16 [F, {facts.codebooks[-1]}], "
                                 f"got {codes.dtype} {list(codes.shape)}")
            if codes.size and not 0 <= codes.min() <= codes.max() < facts.codebook_size:
                raise ValueError(f"{path}: {name}: expected codes below {facts.codebook_size}, got "
                                 f"{codes.min()} ... {codes.max()}")
    return Codes(facts, {split: sounds[split] for split in SPLITS})


def divide(codes: Codes) -> tuple[Codes, str]:
    """The codes with something in both splits that training needs, and a remark on what is not as in the file.

    As `packed.divide`, but if there is too little to hold out, the sounds to learn from are judged on.
    """
    train, validation, test = (codes.sounds[split] for split in SPLITS)
    remarks = []
    if not train:
        lender = "test" if test else "validation"
        train, test, validation = (test, {}, validation) if test else (validation, test, {})
        remarks.append(f"no sound falls into training: those for {lender} are learnt from")
    if train and sum(map(len, validation.values())) < 2:
        longest = max(train, key=lambda name: len(train[name]))
        name = next(other for other in train if _is_copy(longest, other))
        family = [other for other in train if _is_copy(other, name)]
        part = min(sum(map(len, train.values())) // (10 * len(family)), len(train[longest]) // 2)
        if part >= 2:
            validation = {name: train[name][-part:]}
            train = train | {other: train[other][:-part] for other in family}
            remarks.append(f"no whole sound falls into validation: the last {part / codes.facts.frame_rate:.2f} s of "
                           f"{name} are held out")
        else:
            validation = train
            remarks.append("no sound falls into validation, and there is too little to hold out a part of one: judged "
                           "on what is learnt from")
    return Codes(codes.facts, {"train": train, "validation": validation, "test": test}), "; ".join(remarks)


def _is_copy(name: str, of: str) -> bool:
    """Whether `name` is that of a sound, or of a further copy of it."""
    return name == of or name.startswith(f"{of}#") and name[len(of) + 1:].isdecimal()


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.lm_codes",
                                     description="Code many sounds, for a language model to learn from.")
    add = parser.add_argument
    add("model", help="codec: a name or a model folder")
    add("out", type=Path, help="codes file to write (.safetensors)")
    add("audio", type=Path, nargs="+", help="folders of audio, or packed corpora")
    add("--copies", type=int, default=1, metavar="N",
        help="code each training sound N times, shifted and with other gains; default: %(default)d")
    add("--tables", action="store_true", help="also fit the model's static tables to the training split")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: code(args))


def code(args: argparse.Namespace) -> None:
    """Code the sounds that the command line names, and tell how many there are."""
    check_output(args.out, force=True)
    model = load_model(args.model)
    facts, arrays = CodecFacts.of(model), code_folders(model, args.audio, args.copies)
    write_codes(args.out, facts, arrays)
    if args.tables:
        rows = [codes.T for key, codes in arrays.items() if key.startswith("train/")]
        if not rows:
            raise ValueError(f"--tables: expected sounds of the split 'train', got none; {args.out} is written")
        counts = np.sum([count_codes(codes, facts.codebook_size) for codes in rows], axis=0)
        save_tables(find_model(args.model), fit_tables(counts))
    for split in SPLITS:
        frames = [len(codes) for key, codes in arrays.items() if key.startswith(split + "/")]
        print(f"{split:10} {len(frames):6} sounds {sum(frames) / facts.frame_rate / 3600:7.2f} h")


if __name__ == "__main__":
    sys.exit(main())
