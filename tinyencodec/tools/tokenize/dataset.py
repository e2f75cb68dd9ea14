"""Reading a dataset: codes by number, whole or in windows, out of shards mapped into memory.

    dataset = open_dataset("tokens/")
    len(dataset), dataset.sizes           # recordings; frames of each, int64
    dataset.codes(i)                      # int16 [K, F] of recording i
    dataset.codes(i, start, stop)         # some of its frames; only these are read
    saved = dataset[i]                    # `codes_file.SavedCodes`: codes, scales, length, ...
    wav = model.decode(saved.frames(model), saved.length)
    dataset.names[i]                      # from the manifest, which is read when it is first asked for

Opening reads `dataset.json` only. Shards are opened when first needed, in each process on its own: a dataset can be
given to the workers of a data loader, whether they are forked or started anew.
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.ecdc.codes_file import SavedCodes
from tinyencodec.system.errors import require
from tinyencodec.system.files import sha256_of
from tinyencodec.system.progress import Progress
from tinyencodec.tools.tokenize.part import codes_dtype
from tinyencodec.tools.tokenize.plan import UNFINISHED
from tinyencodec.tools.tokenize.shard import DATASET, MANIFEST

_FACTS = {"model": str, "sample_rate": int, "bandwidth": float, "codebooks": int, "codebook_size": int,
          "normalize": bool, "recordings": int, "shards": list}


class TokenDataset:
    """The recordings of a folder that `tinyencodec tokenize` has written, in the order of their names.

    Attributes
    ----------
    folder : where it is
    about : what `dataset.json` tells: model, bandwidth, sample_rate, frame_rate, codebooks, shards, sums, ...

    Raises
    ------
    ValueError : no dataset, or one that is not complete; later, a shard that is not what `dataset.json` tells.
    IndexError : a number that no recording has. Numbers below 0 count from the end.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        require(self.about.get("complete") is True, str(self.folder), "a complete dataset",
                "one that tokenize has not finished; run it again to go on")
        for name, kind in _FACTS.items():
            require(isinstance(self.about.get(name), kind), f"{self.folder / DATASET}: {name}", kind.__name__,
                    self.about.get(name))
        self._ends = np.cumsum([shard["recordings"] for shard in self.about["shards"]], dtype=np.int64)
        self._shards: dict[int, _Shard] = {}
        require(self.about["recordings"] == (self._ends[-1] if len(self._ends) else 0),
                f"{self.folder / DATASET}: recordings", "the sum over all shards", self.about["recordings"])

    def __len__(self) -> int:
        return self.about["recordings"]

    def __getitem__(self, i: int) -> SavedCodes:
        """Recording i: all of its codes, and what is needed to make sound of them or an `.ecdc` file."""
        shard, row = self._find(i)
        scales = None
        if shard.scale_offsets is not None:
            scales = shard.file.get_slice("scales")[shard.scale_offsets[row]:shard.scale_offsets[row + 1]]
        return SavedCodes(self.codes(i), scales, self.about["model"], self.about["sample_rate"],
                          self.about["bandwidth"], int(shard.lengths[row]))

    def __iter__(self) -> Iterator[SavedCodes]:
        return (self[i] for i in range(len(self)))

    def codes(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames `start` to `stop` of recording i, integers [K, f]; both as in a slice of a list."""
        shard, row = self._find(i)
        first, last = int(shard.offsets[row]), int(shard.offsets[row + 1])
        start, stop, _ = slice(start, stop).indices(last - first)
        if start >= stop:  # which the library refuses
            return np.zeros((self.about["codebooks"], 0), codes_dtype(self.about["codebook_size"]))
        return shard.file.get_slice("codes")[first + start:first + stop].T  # [f, K] -> [K, f]

    @cached_property
    def sizes(self) -> np.ndarray:
        """Frames of each recording, int64 [len]."""
        return self._over_all(lambda shard: np.diff(shard.offsets))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Samples per channel of each recording, at the model's rate, int64 [len]."""
        return self._over_all(lambda shard: shard.lengths)

    def _over_all(self, of: "Callable[[_Shard], np.ndarray]") -> np.ndarray:
        return np.concatenate([np.zeros(0, np.int64), *(of(self._open(number)) for number in range(len(self._ends)))])

    @cached_property
    def names(self) -> list[str]:
        """The name of each recording: its path within the folder that it came from."""
        return [line["name"] for line in self.manifest()]

    def manifest(self) -> Iterator[dict[str, Any]]:
        """The lines of the manifest: name, shard, offset, frames, length, seconds, sha256, ... of each recording."""
        with open(self.folder / MANIFEST, "rb") as fo:
            for line in fo:
                yield json.loads(line)

    def wrong_files(self, progress: Progress | None = None) -> list[str]:
        """Read all of it; a phrase for each file that is not as it was written. `progress`: bytes done, in all."""
        expected = dict(self.about["files"]) | {shard["file"]: shard for shard in self.about["shards"]}
        wrong, done, total = [], 0, sum(about["bytes"] for about in expected.values())
        for name, about in expected.items():
            try:
                size = (self.folder / name).stat().st_size
                if size != about["bytes"]:
                    wrong.append(f"{name}: expected {about['bytes']} bytes, got {size}")
                elif sha256_of(self.folder / name) != about["sha256"]:
                    wrong.append(f"{name}: expected the bytes that were written, got others of another SHA-256")
            except OSError as error:
                wrong.append(f"{name}: {error.strerror}")
            done += about["bytes"]
            if progress is not None:
                progress(done, total)
        if not wrong and (lines := sum(1 for _ in self.manifest())) != len(self):
            wrong.append(f"manifest: expected {len(self)} lines, got {lines}")
        return wrong

    def _find(self, i: int) -> "tuple[_Shard, int]":
        """The shard of recording i, and which of its recordings it is."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"recording: expected a number from 0 to {len(self) - 1}, got {i}")
        i %= len(self)
        number = int(np.searchsorted(self._ends, i, side="right"))
        return self._open(number), i - int(self._ends[number - 1] if number else 0)

    def _open(self, number: int) -> "_Shard":
        if number not in self._shards:
            self._shards[number] = _open_shard(self.folder, self.about, self.about["shards"][number])
        return self._shards[number]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}  # open files stay in their process


class _Shard(NamedTuple):
    file: Any  # a safetensors file, mapped into memory
    offsets: np.ndarray  # int64 [R + 1]
    lengths: np.ndarray  # int64 [R]
    scale_offsets: np.ndarray | None  # int64 [R + 1]


def open_dataset(folder: str | os.PathLike) -> TokenDataset:
    """Open a folder that `tinyencodec tokenize` has written; see `TokenDataset`."""
    return TokenDataset(folder)


def read_about(folder: Path) -> dict[str, Any]:
    """What `dataset.json` in `folder` tells; `ValueError` if there is none, or it is not ours."""
    try:
        about = json.loads((folder / DATASET).read_bytes())
    except FileNotFoundError:
        also = " (work on one has been interrupted there)" if (folder / UNFINISHED).is_dir() else ""
        raise ValueError(f"{folder}: expected a folder with a dataset, found no {DATASET}{also}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / DATASET}: expected JSON, got something else: {error}") from None
    known = isinstance(about, dict) and about.get("format") == "tinyencodec tokens"
    require(known, str(folder / DATASET), "a dataset of tinyencodec", "something else")
    require(about.get("version") == 1, f"{folder / DATASET}: version", "1", about.get("version"))
    return about


def _open_shard(folder: Path, about: dict[str, Any], shard: dict[str, Any]) -> _Shard:
    import safetensors

    name = str(shard["file"])
    require(Path(name).name == name, f"{folder / DATASET}: file", "a name without a folder", name)
    path = folder / name
    try:
        with open(path, "rb"):  # for the operating system's own words
            file = safetensors.safe_open(path, "numpy")
        shape, codebooks = file.get_slice("codes").get_shape(), about["codebooks"]
        require(shape == [shard["frames"], codebooks], "codes", f"[{shard['frames']}, {codebooks}]", shape)
        parts = _Shard(file, file.get_tensor("offsets"), file.get_tensor("lengths"),
                       file.get_tensor("scale_offsets") if about["normalize"] else None)
        ends = [("offsets", parts.offsets, shard["frames"])]
        if parts.scale_offsets is not None:
            ends.append(("scale_offsets", parts.scale_offsets, file.get_slice("scales").get_shape()[0]))
        require(parts.lengths.shape == (shard["recordings"],), "lengths", f"[{shard['recordings']}]",
                list(parts.lengths.shape))
        for what, offsets, end in ends:
            require(offsets.shape == (shard["recordings"] + 1,) and offsets[0] == 0 and offsets[-1] == end
                    and (np.diff(offsets) >= 0).all(), what, f"{shard['recordings'] + 1} from 0 to {end}",
                    list(offsets.shape))
    except (ValueError, KeyError, IndexError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path}: expected a shard of this dataset, got another file: {error}") from None
    return parts
