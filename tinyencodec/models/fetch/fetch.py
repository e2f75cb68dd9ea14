"""Fetch official weights into the store: downloaded or handed over, checked, converted, and put in place at once.

    $TINYENCODEC_HOME/downloads/    files on their way, kept while unfinished; locks
    $TINYENCODEC_HOME/models/NAME/  config.json, model.safetensors, README.md, LICENCE.txt, provenance.json, and lm/

One process at a time fetches a model; a second one waits, and finds it done. However this is interrupted, no half model
is left where `load_model` would find it (`install`), and the next call goes on where this one was (`download`).
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tinyencodec.models.fetch.download import DownloadError, download
from tinyencodec.models.fetch.install import Brought, install, leftovers, tidy
from tinyencodec.models.fetch.local_files import WEIGHTS, Handed, find_handed
from tinyencodec.models.official import (
    OFFICIAL,
    Official,
    OfficialFile,
    Part,
    checked_by,
    converted_size,
    likely_size,
    sha256_of,
)
from tinyencodec.models.store import home
from tinyencodec.system.lock import exclusive
from tinyencodec.system.progress import progress

_SPARE = 16 << 20  # bytes of disk space beyond what is needed


def fetch_model(name: str, source: str | os.PathLike | None = None, *, lm: bool = True, half: bool = False,
                force: bool = False, offline: bool | None = None, mirror: str | None = None,
                tell: Callable[[str], object] | None = None) -> Path:
    """Make an official model available to `load_model(name)`.

    Parameters
    ----------
    name : "encodec_24khz", "encodec_48khz" or "encodec_32khz"
    source : instead of the network, a file or a folder that holds the weights: official files, a Hub folder, or a
        model folder of another machine
    lm : its language model too, if there is one
    half : store float16, half the size, instead of float32
    force : replace the model folder with all that is in it; else what is there already is kept
    offline : never use the network; None: as the environment variable TINYENCODEC_OFFLINE says
    mirror : address below which the files lie under their own names, instead of the official ones; None: as the
        environment variable TINYENCODEC_MIRROR says. Hashes are checked all the same.
    tell : called with lines for the user: the licence statement before anything is fetched, and what happens

    Returns
    -------
    The model's folder, in `$TINYENCODEC_HOME/models` or below the user's cache folder.

    Raises
    ------
    ValueError : no such model, or weights other than the official ones.
    OSError : no network, or offline; no room on the disk; a file or folder cannot be read or written.
    """
    if name not in OFFICIAL:
        raise ValueError(f"expected the name of an official model, {', '.join(OFFICIAL)}, got {name!r}")
    tell = tell or (lambda line: None)
    entry, folder, downloads = OFFICIAL[name], home() / "models" / name, home() / "downloads"
    entry = entry if lm else entry._replace(lm=None)
    handed = None if source is None else {each.part: each for each in find_handed(name, entry, source)}
    wanted: list[Part] = list(entry.parts() if handed is None else handed)
    arrived = [downloads / entry.parts()[part].name for part in wanted]
    if not (force or _missing(folder, wanted) or leftovers(folder) or any(file.exists() for file in arrived)):
        tell(f"{name}: is here already, {folder}")
        return folder
    before = _stamp(folder)
    for place in (downloads, folder.parent):
        place.mkdir(parents=True, exist_ok=True)
    with exclusive(downloads / f"{name}.lock", lambda: tell(f"{name}: another process is fetching it; waiting")):
        if tidy(folder):
            before = _stamp(folder)
        parts = wanted if force and _stamp(folder) == before else _missing(folder, wanted)
        if parts:
            if "codec" not in parts and _missing(folder, ["codec"]):
                raise ValueError(f"{source}: expected {entry.codec.name} too, got the language model only")
            _check_place(folder if "codec" in parts else folder / "lm", force)
            job = _Job(name, entry, downloads, mirror or os.environ.get("TINYENCODEC_MIRROR"), tell)
            if handed is None and (_is_offline() if offline is None else offline):
                job.check_offline(parts)
            job.check_space(parts, half, handed is not None)
            tell(f"{name}: {entry.statement}")
            brought = [job.bring(part) for part in parts] if handed is None else \
                [Brought(handed[part], os.fspath(handed[part].path)) for part in parts]
            install(folder, brought, half, tell)
        else:
            tell(f"{name}: is here now, {folder}")
        for file in arrived:
            file.unlink(missing_ok=True)
    return folder


class _Job(NamedTuple):
    """One model on its way."""

    name: str
    entry: Official
    downloads: Path
    mirror: str | None
    tell: Callable[[str], object]

    def dest(self, part: Part) -> Path:
        return self.downloads / self.entry.parts()[part].name

    def address(self, file: OfficialFile) -> str:
        return f"{self.mirror.rstrip('/')}/{file.name}" if self.mirror else file.url

    def elsewhere(self) -> str:
        return f"with the file from elsewhere: tinyencodec fetch {self.name} --from FILE"

    def check_offline(self, parts: list[Part]) -> None:
        """Raise `OSError` for what is not here and could only come from the network."""
        absent = [self.entry.parts()[part] for part in parts if not self.dest(part).is_file()]
        if absent:
            names, places = (" and ".join(each) for each in zip(*((file.name, self.address(file)) for file in absent)))
            raise OSError(f"{names}: not here, and the network is not to be used (--offline or TINYENCODEC_OFFLINE); "
                          f"to be had at {places}; {self.elsewhere()}")

    def check_space(self, parts: list[Part], half: bool, handed: bool) -> None:
        """Raise `OSError` if the disk cannot hold the files and the model made of them."""
        need = _SPARE
        for part in parts:
            file, dest = self.entry.parts()[part], self.dest(part)
            need += converted_size(file, half)
            if not handed and not dest.exists():
                there = dest.with_name(f"{dest.name}.part")
                need += max(0, likely_size(file) - (there.stat().st_size if there.exists() else 0))
        free = shutil.disk_usage(self.downloads).free
        if free < need:
            raise OSError(errno.ENOSPC, f"expected {need / 1e6:.0f} MB of free disk space for {self.name}, got "
                          f"{free / 1e6:.0f} MB", os.fspath(self.downloads.parent))

    def bring(self, part: Part) -> Brought:
        """Download the file of one part, unless that was done before."""
        file, dest = self.entry.parts()[part], self.dest(part)
        url, digest = self.address(file), sha256_of(dest) if dest.is_file() else ""
        if not digest or not digest.startswith(file.sha256):
            self.tell(f"{self.name}: fetching {url}")
            try:
                with progress(file.name, "bytes") as report:
                    digest = download(url, dest, file.sha256, file.size, 2 * likely_size(file), report)
            except DownloadError as error:
                without = "; or without the language model: --no-lm" if part == "lm" else ""
                raise DownloadError(f"{error}; {self.elsewhere()}{without}") from None
        return Brought(Handed(part, dest, digest, checked_by(file)), url)


def _missing(folder: Path, parts: list[Part]) -> list[Part]:
    """Those of the parts that are not in place."""
    place: dict[Part, Path] = {"codec": folder, "lm": folder / "lm"}
    return [part for part in parts if not all((place[part] / file).is_file() for file in ("config.json", WEIGHTS))]


def _stamp(folder: Path) -> tuple[int, int] | None:
    """Changes when the folder is replaced."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def _check_place(place: Path, force: bool) -> None:
    """Raise `ValueError` for a folder of something else where the model is to be."""
    if not force and place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(f"{place}: expected a model folder or nothing, got another; -f replaces it")


def _is_offline() -> bool:
    return os.environ.get("TINYENCODEC_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")
