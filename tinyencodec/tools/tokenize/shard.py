"""Parts to shards: the files that a dataset consists of when all the work is done.

    shard-00000.safetensors   the codes of many recordings, one after the other
        codes          int16 [F, K] (int32 for codebooks of more than 32 768 entries), one row per frame
        offsets        int64 [R + 1], where each of its R recordings begins in `codes`, and where the last one ends
        lengths        int64 [R], samples of each recording, at the model's rate
        scales         float32 [S], one per segment, and
        scale_offsets  int64 [R + 1], where each recording's begin: both only of models that normalise their input
    manifest.jsonl            one line per recording, in the order of their names, which is that of the shards
    errors.jsonl              one line per file that could not be coded; only if there are any
    dataset.json              the model, the rates, the sums, and the hash of each of the files above

Frames come first in `codes`, unlike in [K, F] everywhere else, so that a window of a recording is one piece of the
file: a training loop that maps it into memory touches a page or two, and a writer can append without knowing how
many frames are to come. Names are in the manifest rather than in the shard, as the library reads all of a shard's
header when it opens it, and refuses one of more than 100 MB; with one tensor per recording that would be a million.

A shard takes recordings as long as their codes fit into `shard_bytes`, and at least one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from tinyencodec.system.files import atomic_write, sha256_of
from tinyencodec.system.safetensors_file import safetensors_header
from tinyencodec.tools.tokenize.part import FileResult, codes_path, read_results

MANIFEST, ERRORS, DATASET = "manifest.jsonl", "errors.jsonl", "dataset.json"


class _Piece(NamedTuple):
    """A recording, and where its codes are among the parts."""

    result: FileResult
    codes: Path
    at: int  # bytes


def write_shards(folder: Path, about: dict[str, Any], n_parts: int, dtype: np.dtype) -> dict[str, Any]:
    """Make shards, manifest and list of errors of the parts, all of which are done; return what `dataset.json` tells.

    about : what it tells from the start (`plan.describe_dataset`)
    dtype : of the codes
    """
    shards: list[dict[str, Any]] = []
    sums = {"recordings": 0, "frames": 0, "samples": 0, "failed": 0, "short": 0, "remarked": 0}
    frame_bytes = about["codebooks"] * dtype.itemsize
    with atomic_write(folder / MANIFEST, force=True) as manifest, atomic_write(folder / ERRORS, force=True) as errors:
        for pieces in _grouped(_pieces(folder, n_parts, frame_bytes, errors, sums), about["shard_bytes"], frame_bytes):
            name, frames = f"shard-{len(shards):05d}.safetensors", 0
            for index, (result, _, _) in enumerate(pieces):
                manifest.write(_json_line(_manifest_line(result, name, index, frames, about["sample_rate"])))
                frames += result.frames
                sums["samples"] += result.length
                sums["short"] += result.missing > 0
                sums["remarked"] += bool(result.remarks) and not result.missing
            _write_shard(folder / name, pieces, about, dtype)
            shards.append({"file": name, "recordings": len(pieces), "frames": frames, **_contents(folder / name)})
            sums["recordings"] += len(pieces)
            sums["frames"] += frames
    if not sums["failed"]:
        (folder / ERRORS).unlink()
    others = {name: _contents(folder / name) for name in (MANIFEST, ERRORS) if (folder / name).exists()}
    return {**about, "complete": True, **sums, "seconds": sums["samples"] / about["sample_rate"],
            "files": others, "shards": shards}


def _manifest_line(result: FileResult, shard: str, index: int, offset: int, rate: int) -> dict[str, Any]:
    return {"name": result.name, "shard": shard, "index": index, "offset": offset, "frames": result.frames,
            "length": result.length, "seconds": result.length / rate, "sample_rate": result.sample_rate,
            "channels": result.channels, "missing": result.missing, "remarks": result.remarks,
            "bytes": result.bytes, "sha256": result.sha256}


def _pieces(folder: Path, n_parts: int, frame_bytes: int, errors: BinaryIO, sums: dict[str, int]) -> Iterator[_Piece]:
    """All recordings in order; what could not be coded goes to `errors`."""
    for number in range(n_parts):
        codes, at = codes_path(folder, number), 0
        for result in read_results(folder, number):
            if result.error:
                errors.write(_json_line({"name": result.name, "error": result.error}))
                sums["failed"] += 1
                continue
            yield _Piece(result, codes, at)
            at += result.frames * frame_bytes
        if at != codes.stat().st_size:
            raise ValueError(f"{codes}: expected {at} bytes, got {codes.stat().st_size}")


def _grouped(pieces: Iterator[_Piece], limit: int, frame_bytes: int) -> Iterator[list[_Piece]]:
    """Lists of as many pieces as have at most `limit` bytes of codes, or of one."""
    group: list[_Piece] = []
    size = 0
    for piece in pieces:
        more = piece.result.frames * frame_bytes
        if group and size + more > limit:
            yield group
            group, size = [], 0
        group.append(piece)
        size += more
    if group:
        yield group


def _write_shard(path: Path, pieces: list[_Piece], about: dict[str, Any], dtype: np.dtype) -> None:
    recordings = [piece.result for piece in pieces]
    arrays = {"offsets": _offsets([recording.frames for recording in recordings]),
              "lengths": np.array([recording.length for recording in recordings], "<i8")}
    if about["normalize"]:
        arrays["scale_offsets"] = _offsets([len(recording.scales) for recording in recordings])
        arrays["scales"] = np.array([scale for recording in recordings for scale in recording.scales], "<f4")
    shape = [int(arrays["offsets"][-1]), about["codebooks"]]
    facts = {key: str(about[key]) for key in ("format", "model", "model_sha256", "bandwidth", "sample_rate")}
    with atomic_write(path, force=True) as fo:
        sizes = {name: (array.dtype, array.shape) for name, array in arrays.items()}  # the widest first: aligned
        fo.write(safetensors_header({**sizes, "codes": (dtype, shape)}, facts))
        for array in arrays.values():
            fo.write(array.tobytes())
        for piece in pieces:
            fo.write(np.fromfile(piece.codes, dtype, piece.result.frames * shape[1], offset=piece.at).tobytes())


def _offsets(counts: list[int]) -> np.ndarray:
    return np.concatenate([np.zeros(1, "<i8"), np.cumsum(np.array(counts, "<i8"))]).astype("<i8")


def _json_line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _contents(path: Path) -> dict[str, Any]:
    """Size and hash of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
