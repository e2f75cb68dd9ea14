"""The maps of the package: each folder's `__init__` docstring names what is in it, and README and the site follow."""

import re

import pytest

from tests.helpers.paths import ROOT
from tutorials.site import all_modules

PACKAGE = ROOT / "tinyencodec"
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_names_all_that_is_in_it(folder):
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name + "/" for path in folder.glob("*/__init__.py")}
    assert sorted(all_modules.listed(folder)) == sorted(modules | folders)


def test_the_site_lists_every_module():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
               for path in PACKAGE.rglob("*.py") if path.stem != "__main__"}
    listed = re.findall(r"^   (tinyencodec[\w.]*)$", all_modules.page(), flags=re.M)
    assert sorted(listed) == sorted(modules - {"tinyencodec"})


def test_readme_names_the_rooms_in_their_order():
    rows = re.findall(r"^\| `(\w+/)` \| \S", (ROOT / "README.md").read_text(), flags=re.M)
    assert rows == [name for name in all_modules.listed(PACKAGE) if name.endswith("/")]


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *sorted(ROOT.glob("tutorials/*.md"))], ids=lambda page: page.name)
def test_pages_name_modules_that_exist(page):
    """`tinyencodec.codec.rvq`, `codec.rvq` and `codec/rvq.py`; a name of a module may follow the first two."""
    rooms = "|".join(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
    text = page.read_text()
    for name in re.findall(rf"`(?:tinyencodec\.)?((?:{rooms})(?:\.\w+)+)`", text):
        path = PACKAGE / name.replace(".", "/")
        parent = path.parent / "__init__.py" if path.parent.is_dir() else path.parent.with_suffix(".py")
        known = path.with_suffix(".py").is_file() or path.is_dir()
        assert known or parent.is_file() and re.search(rf"\b{path.name}\b", parent.read_text()), name
    for name in re.findall(rf"`((?:{rooms})/[\w/]*\.py)`", text):
        assert (PACKAGE / name).is_file(), name
