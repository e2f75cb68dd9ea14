"""Fetch official models: get the weights, check them, convert them, and put the model folder in its place.

    $TINYENCODEC_HOME/downloads/    official files until they are installed, whole or in part; locks
    $TINYENCODEC_HOME/models/NAME/  config.json, model.safetensors, README.md, LICENCE.txt, and lm/ with the same

One process at a time fetches a model; a second one waits, and finds it done. A model folder appears whole or not at
all (`new_folder`), the codec's first, then that of its language model.

An official file must have its hash. A Hub folder of weights that are officially PyTorch's has none: that is told, and
its configuration and tensors still have to be those of the model.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from textwrap import fill

from tinyencodec.codec.config import CodecConfig
from tinyencodec.models.convert import convert
from tinyencodec.models.download import ELSEWHERE, download
from tinyencodec.models.official import OFFICIAL, TERMS, OfficialFile
from tinyencodec.models.store import home, is_model_folder
from tinyencodec.models.weight_files import find_weights
from tinyencodec.system.files import new_folder, sha256_of
from tinyencodec.system.lock import exclusive
from tinyencodec.system.model_files import LM, WEIGHT_FILES, WEIGHTS
from tinyencodec.system.progress import progress


def fetch_model(name: str, source: str | os.PathLike | None = None, *, lm: bool = True, half: bool = False,
                force: bool = False, offline: bool = False, tell: Callable[[str], object] = lambda line: None) -> Path:
    """Make an official model available to `load_model(name)`.

    Parameters
    ----------
    name : "encodec_24khz", "encodec_48khz" or "encodec_32khz"
    source : instead of the network, an official file, a folder with some, or a folder from the Hub
    lm : its language model too, if there is one
    half : store float16, half the size, instead of float32
    force : replace the model folder with all that is in it; else what is there already is kept
    offline : never use the network; so does the environment variable TINYENCODEC_OFFLINE=1. Another one,
        TINYENCODEC_MIRROR, is an address below which the files lie under their own names.
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
    offline |= os.environ.get("TINYENCODEC_OFFLINE", "").lower() not in ("", "0", "false", "no", "off")
    folder, downloads = home() / "models" / name, home() / "downloads"
    files = {part: file for part, file in OFFICIAL[name].files.items() if lm or part != "lm"}
    local = {} if source is None else _find_local_files(name, files, Path(source))
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
        origins = {part: str(local[part]) if local else _download(name, files[part], downloads, offline, tell)
                   for part in parts}
        for part, origin in origins.items():
            path = local.get(part, downloads / files[part].name)
            _install(name, part, path, origin, places[part], half, force, tell)
        for part in parts:
            (downloads / files[part].name).unlink(missing_ok=True)
    return folder


def _find_local_files(name: str, files: dict[str, OfficialFile], source: Path) -> dict[str, Path]:
    """The weights in `source`, a file or a folder: of each part ("codec", "lm") that is there."""
    found: dict[str, Path] = {}
    if source.is_dir():
        for part, file in files.items():
            for path in (source / file.name, find_weights(source / LM if part == "lm" else source)):
                if path.is_file():
                    found.setdefault(part, path)
    else:
        part = next((part for part, file in files.items() if _is_official(source, file)), "codec")
        found[part] = source
    if not found:
        raise ValueError(f"{source}: expected a folder with {files['codec'].name} or {WEIGHTS}, got neither")
    for part, path in found.items():
        file = files[part]
        of_hub = path.suffix == ".safetensors" or path.name in WEIGHT_FILES
        if (not of_hub or file.name.endswith(".safetensors")) and not _is_official(path, file):
            raise ValueError(f"{path}: expected the official {file.name}, SHA-256 {file.sha256}, got "
                             f"{sha256_of(path)}; `tinyencodec convert {path} {name}` takes any weights")
    return found


def _is_official(path: Path, file: OfficialFile) -> bool:
    return sha256_of(path).startswith(file.sha256)


def _download(name: str, file: OfficialFile, folder: Path, offline: bool, tell: Callable) -> str:
    """Download one file into the folder, unless an earlier call has done that; return its address."""
    base, path = os.environ.get("TINYENCODEC_MIRROR"), folder / file.name
    url = f"{base.rstrip('/')}/{file.name}" if base else file.url
    if path.is_file() and _is_official(path, file):
        return url
    if offline:
        raise OSError(f"{file.name}: not here, and the network is not to be used (--offline or TINYENCODEC_OFFLINE); "
                      f"to be had at {url}; {ELSEWHERE}")
    tell(f"{name}: fetching {url}")
    with progress(file.name, "bytes") as report:
        download(url, path, file.sha256, 2 * file.size, report)
    return url


def _install(name: str, part: str, path: Path, origin: str, place: Path, half: bool, force: bool,
             tell: Callable) -> None:
    """Put one part in its place, with the terms and the origin of its weights."""
    official = OFFICIAL[name]
    checked = f"checked by {len(official.files[part].sha256)} hex digits of its SHA-256"
    if not _is_official(path, official.files[part]):
        checked = "not checked, since no hash is known for it"
        tell(f"{name}: {origin} was {checked}")
    for left in place.parent.glob(f".{place.name}.*.part"):  # of a process that was killed
        shutil.rmtree(left)
    with new_folder(place, replace=force) as folder:
        config = convert(path, folder, half, statistics=False)
        if isinstance(config, CodecConfig):  # the Hub's tell codebook_dim, which has to be hidden_size
            config = replace(config, codebook_dim=None)
        if config != official.files[part].config:
            raise ValueError(f"{origin}: expected the configuration of {name}, got that of another model")
        (folder / TERMS).write_text(f"{fill(official.statement, 100)}\n\nFrom {origin}, {date.today()}; {checked}.\n",
                                    encoding="utf-8")
