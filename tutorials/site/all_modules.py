"""The page "All modules", made from the folders' `__init__` docstrings when the site is built.

Each docstring is a map of its folder: in reading order, indented by four spaces, one line for a module or for several,

    name            what it does
    name, folder/   what they do

with two spaces or more before what it says.
"""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "tinyencodec"
_LINE = re.compile(r"^    (\w+/?(?:, \w+/?)*) {2,}\S", re.M)
_INTRODUCTION = """\
# All modules, in reading order

Each folder is one subject, and each module one idea. `[source]` beside a function shows its code; where a chapter walks
through a module, the module says so. Imports go one way: the order of the folders is declared in `pyproject.toml` and
checked.
"""


def listed(folder: Path) -> list[str]:
    """Modules ("conv") and folders ("codec/") that a folder's docstring names, in its order."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()), clean=False) or ""
    return [name for names in _LINE.findall(text) for name in names.split(", ")]


def page() -> str:
    """The page in Markdown, with a table of each folder's modules."""
    top = [name for name in listed(PACKAGE) if not name.endswith("/")]
    parts = [_INTRODUCTION, *_sections(PACKAGE), "## At the top\n", _table("tinyencodec", top)]
    return "\n".join(parts)


def _sections(parent: Path) -> list[str]:
    """Headings and tables of the folders in `parent`, each followed by the folders in it."""
    parts = []
    for name in listed(parent):
        if name.endswith("/"):
            folder = parent / name
            path = folder.relative_to(PACKAGE)
            package = ".".join(["tinyencodec", *path.parts])
            modules = [module for module in listed(folder) if not module.endswith("/")]
            parts += [f"## `{path}/`\n", _table(package, ["", *modules]), *_sections(folder)]
    return parts


def _table(package: str, modules: list[str]) -> str:
    """A table of summaries, each linked to the module's own page; "" stands for the package itself."""
    names = "\n".join(f"   {package}.{module}".rstrip(".") for module in modules)
    return f"```{{eval-rst}}\n.. autosummary::\n   :toctree: modules\n\n{names}\n```\n"
