"""Free sound from Debian main: which packages, how to get them, and under which licences they are.

Everything in Debian's section `main` is free by its guidelines, so what is learnt from it may be passed on. Each
package says in `/usr/share/doc/PACKAGE/copyright` whose work it holds and under which licences; those names go into
the corpus' manifest and the whole file beside it.

Packages are fetched by `apt-get download`, which needs no root, and unpacked by `dpkg-deb`; nothing is installed.
"""

import re
import shutil
import subprocess
from pathlib import Path

# Kind of what a package holds. Below one of effects, folders may say otherwise: see `packed.kind_of`.
PACKAGES = {
    "fillets-ng-data-nl": "speech", "fillets-ng-data-cs": "speech", "festvox-ru": "speech",
    "klettres-data": "speech", "ktuberling-data": "speech", "tuxpaint-stamps-default": "speech", "gcin-voice": "speech",
    "asterisk-core-sounds-en-g722": "speech", "asterisk-core-sounds-fr-g722": "speech",
    "asterisk-core-sounds-ru-g722": "speech", "asterisk-core-sounds-es-g722": "speech",
    "asterisk-core-sounds-it-g722": "speech",
    "wesnoth-1.16-music": "music", "warzone2100-music": "music", "planetblupi-music-ogg": "music",
    "singularity-music": "music", "ufoai-music": "music", "nexuiz-music": "music",
    "hyperrogue-music": "effects", "colobot-common-sounds": "effects", "fillets-ng-data": "effects",
    "sonic-pi-samples": "effects", "hydrogen-drumkits": "effects",
    "hedgewars-data": "effects", "warmux-data": "effects", "kajongg": "effects",
}
# Which of a package's sounds are taken, by the ends of their names, if not all. Of the stamps: the spoken descriptions,
# but for three of their languages, so that there are voices to test with that no model has learnt from.
TAKEN = {"tuxpaint-stamps-default": re.compile(r"_desc(_(?!(bg|el|fr)\.)\w+)?\.ogg$")}
# Seconds from which on a package's sounds are not taken: the models' cards test with the long ones of all languages.
TESTED = {"tuxpaint-stamps-default": 6.0}
_LICENCE = re.compile(r"^License:[ \t]*(\S[^\n]*)", re.MULTILINE)
_KNOWN = re.compile(r"\b(?:CC[- ]BY(?:-SA)?[- ]\d\.\d|CC0|L?GPL-\d(?:\.\d)?|GNU (?:Lesser )?General Public License|"
                    r"CREATIVE COMMONS|[Pp]ublic [Dd]omain|BSD|MIT)\b")


def fetch(package: str, folder: Path) -> Path:
    """Download a package into `folder` and unpack it there, each unless done before. Returns the unpacked tree.

    Raises `ValueError` if apt or dpkg are not there or do not succeed.
    """
    tree = folder / package
    if tree.is_dir():
        return tree
    folder.mkdir(parents=True, exist_ok=True)
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ValueError(f"{program}: expected a Debian system or one derived from it, got one without")
    if not list(folder.glob(f"{package}_*.deb")):
        _run(["apt-get", "download", package], folder)
    part = folder / f".{package}.part"
    shutil.rmtree(part, ignore_errors=True)
    _run(["dpkg-deb", "-x", str(next(folder.glob(f"{package}_*.deb")).resolve()), str(part.resolve())], folder)
    part.rename(tree)
    return tree


def copyright_text(tree: Path, package: str) -> str:
    """What the package says about its licences; empty if it says nothing."""
    path = tree / "usr/share/doc" / package / "copyright"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def licence_names(text: str) -> str:
    """The licences named in a copyright file, sorted, separated by "; ".

    Debian's machine-readable form has `License:` fields; from an older free text, well-known names are picked out.
    """
    names = _LICENCE.findall(text) or _KNOWN.findall(text)
    return "; ".join(sorted({" ".join(name.split()) for name in names})) or "see the copyright file"


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ValueError(f"{' '.join(command)}: expected it to succeed, got exit status {done.returncode}: "
                         f"{said[-1] if said else 'no message'}")
