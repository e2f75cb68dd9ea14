"""Fetch official models: get the weights, check them, convert them, and put the model folder in its place.

    $TINYENCODEC_HOME/downloads/    files on their way, kept while unfinished; locks
    $TINYENCODEC_HOME/models/NAME/  config.json, model.safetensors, README.md, LICENCE.txt, provenance.json, and lm/

One process at a time fetches a model; a second one waits, and finds it done. A model folder appears whole or not at
all (`new_folder`), the codec's first, then that of its language model.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from textwrap import fill

from tinyencodec.codec.config import CodecConfig
from tinyencodec.models.convert import convert
from tinyencodec.models.fetch.download import DownloadError, download
from tinyencodec.models.fetch.local_files import PROVENANCE, Weights, find_local_files
from tinyencodec.models.official import OFFICIAL, OfficialFile
from tinyencodec.models.store import home, is_model_folder
from tinyencodec.system.files import new_folder, sha256_of
from tinyencodec.system.lock import exclusive
from tinyencodec.system.model_files import CONFIG, LM, TABLES, WEIGHTS
from tinyencodec.system.progress import progress
from tinyencodec.version import __version__


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
        raise ValueError(f"expected names of official models, {', '.join(OFFICIAL)}, got {name!r}; "
                         "`tinyencodec convert` makes models of other weights")
    tell = tell or (lambda line: None)
    files = {part: file for part, file in OFFICIAL[name].files.items() if lm or part != "lm"}
    local = None if source is None else find_local_files(name, files, source)
    folder, downloads = home() / "models" / name, home() / "downloads"
    places = {part: folder / LM if part == "lm" else folder for part in local or files}

    def missing() -> list[str]:
        return [part for part, place in places.items() if force or not is_model_folder(place)]

    if not missing():
        tell(f"{name}: is here already, {folder}")
        return folder
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; set TINYENCODEC_HOME to a folder for models",
                      error.filename) from None
    with exclusive(downloads / f"{name}.lock", lambda: tell(f"{name}: another process is fetching it; waiting")):
        parts = missing()
        if "codec" not in parts and not is_model_folder(folder):
            raise ValueError(f"{source}: expected {files['codec'].name} too, got the language model only")
        if parts:
            tell(f"{name}: {OFFICIAL[name].statement}")
        base = mirror or os.environ.get("TINYENCODEC_MIRROR")
        urls = {part: f"{base.rstrip('/')}/{file.name}" if base else file.url for part, file in files.items()}
        for part in parts if local is None else []:
            _download(name, files[part], urls[part], downloads, _is_offline() if offline is None else offline, tell)
        for part in parts:
            weights = local[part] if local else find_local_files(name, {part: files[part]}, downloads)[part]
            origin = os.fspath(weights.path) if local else urls[part]
            if not weights.checked:
                tell(f"{name}: not checked, since no hash is known for {origin}: its SHA-256 is {weights.sha256}")
            _install(name, part, weights, origin, places[part], half, force)
        for part in parts:
            (downloads / files[part].name).unlink(missing_ok=True)
    return folder


def _is_offline() -> bool:
    return os.environ.get("TINYENCODEC_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")


def _download(name: str, file: OfficialFile, url: str, folder: Path, offline: bool, tell: Callable) -> None:
    """Download one file into the folder, unless an earlier call has done that."""
    path = folder / file.name
    if path.is_file() and sha256_of(path).startswith(file.sha256):
        return
    elsewhere = f"with the file from elsewhere: tinyencodec fetch {name} --from FILE"
    if offline:
        raise OSError(f"{file.name}: not here, and the network is not to be used (--offline or TINYENCODEC_OFFLINE); "
                      f"to be had at {url}; {elsewhere}")
    tell(f"{name}: fetching {url}")
    try:
        with progress(file.name, "bytes") as report:
            download(url, path, file.sha256, 2 * file.size, report)
    except DownloadError as error:
        raise DownloadError(f"{error}; {elsewhere}") from None


def _install(name: str, part: str, weights: Weights, origin: str, place: Path, half: bool, force: bool) -> None:
    """Put one part in its place, with the terms and the origin of its weights."""
    official = OFFICIAL[name]
    for left in place.parent.glob(f".{place.name}.*.part"):  # of a process that was killed
        shutil.rmtree(left)
    with new_folder(place, replace=force) as folder:
        config = convert(weights.path, folder, half, statistics=False)
        if isinstance(config, CodecConfig):  # the Hub's tell codebook_dim, which has to be hidden_size
            config = replace(config, codebook_dim=None)
        if config != official.files[part].config:
            raise ValueError(f"{origin}: expected the configuration of {name}, got that of another model")
        if weights.path.name == WEIGHTS and (weights.path.parent / TABLES).is_file():
            shutil.copyfile(weights.path.parent / TABLES, folder / TABLES)
        record = {
            "model": name, "part": part, "source": origin, "official": official.files[part].url,
            "sha256": weights.sha256, "checked": weights.checked or "nothing",
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "stored": "float16" if half else "float32", "licence": official.licence, "tinyencodec": __version__,
            "files": {each: sha256_of(folder / each) for each in (CONFIG, WEIGHTS)}}
        (folder / "LICENCE.txt").write_text(fill(official.statement, 100) + "\n", encoding="utf-8")
        (folder / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
