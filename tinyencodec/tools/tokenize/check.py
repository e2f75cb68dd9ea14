"""Whether a dataset is still what was written: each file's size and hash, and what the shards say of themselves."""

from pathlib import Path

from tinyencodec.system.files import sha256_of
from tinyencodec.system.progress import Progress
from tinyencodec.tools.tokenize.dataset import TokenDataset


def check_dataset(folder: Path, progress: Progress | None = None) -> tuple[TokenDataset, list[str]]:
    """Read all of a dataset; return it, and a phrase for each file that is not as it was written.

    progress : called with (bytes done, bytes in all)

    Raises `ValueError` if there is no complete dataset, so that nothing can be said of its files.
    """
    dataset = TokenDataset(folder)
    expected = dict(dataset.about["files"]) | {shard["file"]: shard for shard in dataset.about["shards"]}
    wrong, done, total = [], 0, sum(about["bytes"] for about in expected.values())
    for name, about in expected.items():
        try:
            size = (folder / name).stat().st_size
            if size != about["bytes"]:
                wrong.append(f"{name}: expected {about['bytes']} bytes, got {size}")
            elif sha256_of(folder / name) != about["sha256"]:
                wrong.append(f"{name}: expected the bytes that were written, got others of another SHA-256")
        except OSError as error:
            wrong.append(f"{name}: {error.strerror}")
        done += about["bytes"]
        if progress is not None:
            progress(done, total)
    if not wrong:
        dataset.sizes  # opens each shard  # noqa: B018
        n_lines = sum(1 for _ in dataset.manifest())
        if n_lines != len(dataset):
            wrong.append(f"manifest: expected {len(dataset)} lines, got {n_lines}")
    return dataset, wrong
