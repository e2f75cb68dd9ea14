"""The chapters as text: form, sections, exercises, links, and that chapters and modules name each other.

That they run, and how the site looks in a browser, is tested in `tests/tutorials`.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tutorials.site import live_page

TUTORIALS = ROOT / "tutorials"
CHAPTERS = sorted(TUTORIALS.glob("[01][0-9]_*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
           for path in (ROOT / "tinyencodec").rglob("*.py") if path.stem != "__main__"}
FOLDED, DRAWN = ' tags=["hide-input"]', ' tags=["remove-input"]'
SECTIONS = ["## Summary", "## Exercises", "## Where this lives in the package"]


def cells(path: Path) -> list[tuple[str, str]]:
    """(kind, text) of each cell: "markdown" (without its marks), "code", or "plot", code that the page folds."""
    found = []
    for part in re.split(r"^# %%", path.read_text(), flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        assert head in ("", " [markdown]", FOLDED, DRAWN), f"{path.name}: a cell begins with {head!r}"
        if head == DRAWN:
            assert re.fullmatch(r"book\.drawing\(.*\)", body.strip()), f"hidden, but no drawing alone:\n{body}"
        if head == " [markdown]":
            assert all(line == "#" or line.startswith("# ") for line in body.strip().split("\n")), (path.name, body)
            found.append(("markdown", re.sub(r"^# ?", "", body.strip(), flags=re.M)))
        else:
            found.append(({FOLDED: "plot", DRAWN: "drawing"}.get(head, "code"), body.strip("\n")))
    return found


def prose(path: Path) -> str:
    return "\n\n".join(text for kind, text in cells(path) if kind == "markdown") + "\n"


def code(path: Path) -> list[str]:
    return [text for kind, text in cells(path) if kind != "markdown"]


def section(path: Path, heading: str) -> str:
    return re.split(r"^## ", prose(path).split(heading + "\n")[1], flags=re.M)[0]


def module_list(path: Path) -> list[str]:
    """Modules that a chapter names at its end."""
    entries = re.findall(r"^- ((?:.|\n  )*)", section(path, SECTIONS[2]), flags=re.M)
    return [name for entry in entries for name in re.findall(r"`(tinyencodec[\w.]*)`", re.sub(r":.*?(;|$)", "", entry))]


def chapters_of(name: str) -> list[int]:
    """The chapters that a module says walk through it."""
    text = " ".join((ast.get_docstring(ast.parse(MODULES[name].read_text())) or "").split())
    found = re.search(r"Chapters? ([\d, and]+) of the tutorials", text)
    return [int(number) for number in re.findall(r"\d+", found[1])] if found else []


def anchors(path: Path) -> set[str]:
    """Of all headings: lower case, spaces as hyphens, without punctuation."""
    headings = re.findall(r"^#{1,3} (.*)$", path.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_there_are_fifteen_and_one_before():
    assert [path.name[:3] for path in CHAPTERS] == [f"{n:02d}_" for n in range(16)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
class TestChapter:
    def test_opens(self, path):
        kind, text = cells(path)[0]
        assert kind == "markdown" and re.match(rf"# {int(path.name[:2])} \S", text), "first cell: `# N Title`"
        assert re.search(r"\*\*What you will see:?\*\*\n\n(- .*\n(  .*\n)*){3,6}", text + "\n")
        assert "book.open_chapter()" in code(path)[0]

    def test_code_cells(self, path):
        for kind, text in cells(path):
            if kind != "markdown":
                ast.parse(text)
                assert len(text.split("\n")) <= 32, f"expected at most 32 lines:\n{text}"
                for line in text.split("\n"):
                    assert len(line) <= 90, f"wider than the page: {line}"
            if kind == "plot":
                assert "book.show(" in text and "assert" not in text, f"folded, but not a figure alone:\n{text}"
        everything = "\n".join(code(path))
        assert "assert " in everything
        names = re.findall(r"book\.show\(\"(\w+)\"\)", everything)
        assert len(names) >= 3 and len(set(names)) == len(names)
        assert "plt.show" not in everything and "savefig" not in everything

    def test_sections(self, path):
        found = [line for line in prose(path).split("\n") if line in SECTIONS]
        assert found == SECTIONS
        headings = re.findall(r"^## .*$", prose(path), flags=re.M)
        assert headings[-3:] == SECTIONS and len(headings) >= 6, "at least three sections of its own"

    def test_exercises_have_solutions(self, path):
        assert re.findall(r"^(\d)\. ", section(path, "## Exercises"), flags=re.M) == ["1", "2", "3"]
        assert f"(solutions/{path.stem}.md)" in section(path, "## Exercises")
        checked = re.findall(r'^book\.check\("([\d.]+)"', "\n".join(code(path)), flags=re.M)
        assert checked == [f"{int(path.name[:2])}.{n}" for n in (1, 2, 3)], "a check for each exercise"
        solutions = (TUTORIALS / "solutions" / f"{path.stem}.md").read_text()
        assert re.findall(r'^book\.check\("([\d.]+)"', solutions, flags=re.M) == checked
        hidden = "".join(re.findall(r"^<details>\n<summary>[^\n]*</summary>\n(.*?)^</details>", solutions, re.M | re.S))
        assert hidden.count("```python") == solutions.count("```python") >= 3, "solutions stay behind a click"
        assert re.findall(r"^## (\d)", solutions, flags=re.M) == ["1", "2", "3"]
        assert f"(../{path.name})" in solutions
        for text in re.findall(r"^```python\n(.*?)^```", solutions, flags=re.M | re.S):
            ast.parse(text)

    def test_names_the_paper(self, path):
        assert "## In the paper" in prose(path) and "https://arxiv.org/abs/2210.13438" in prose(path)

    def test_links(self, path):
        for target in re.findall(r"\]\(([^)]+)\)", prose(path)):
            if not re.match(r"https?://|#", target):
                name, _, anchor = target.partition("#")
                assert (TUTORIALS / name).is_file(), f"link to {target}"
                assert not anchor or anchor in anchors(TUTORIALS / name), f"link to {target}"

    def test_modules_exist_and_point_back(self, path):
        assert module_list(path), "expected a list such as - `tinyencodec.codec.rvq`: ..."
        for name in module_list(path):
            assert name in MODULES, f"{name} is no module"
            assert name == "tinyencodec" or chapters_of(name), f"{name}: no line about its chapter"
        for name in re.findall(r"`(tinyencodec\.[\w.]+)`", prose(path)):
            parent, _, last = name.rpartition(".")
            parent = MODULES.get(parent)
            if parent and parent.stem == "__init__" and parent.with_suffix(".pyi").exists():  # the public names
                parent = parent.with_suffix(".pyi")
            assert name in MODULES or parent and re.search(rf"\b{last}\b", parent.read_text()), f"{name} is nothing"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_names_a_chapter_that_names_it(name):
    for number in chapters_of(name):
        chapter = [path for path in CHAPTERS if int(path.name[:2]) == number]
        assert chapter and name in module_list(chapter[0]), f"chapter {number} does not list {name}"


def test_map_has_every_chapter_under_its_title():
    rows = re.findall(r"^\| \[(\d+ [^\]]+)\]\((\S+)\) \| .+ \| \d+ s \| .+ \|$", (TUTORIALS / "README.md").read_text(),
                      flags=re.M)
    assert rows == [(re.match(r"# (.*)", prose(path))[1], path.name) for path in CHAPTERS]


def test_reference_has_every_public_name():
    import tinyencodec
    names = re.findall(r"^\.\. auto\w+:: (\w+)$", (TUTORIALS / "reference.md").read_text(), flags=re.M)
    assert sorted(names) == sorted(tinyencodec.__all__)


def test_glossary_is_in_order_and_its_links_hold():
    text = (TUTORIALS / "glossary.md").read_text()
    terms = re.findall(r"^### (.*)$", text, flags=re.M)
    assert len(terms) > 30 and terms == sorted(terms, key=str.lower)
    for target in re.findall(r"\]\(([^)#]+\.(?:py|md))", text):
        assert (TUTORIALS / target).is_file(), target
    for name in re.findall(r"`(tinyencodec[\w.]*)`", text):
        assert name in MODULES, f"{name} is no module"


def test_without_npm_the_live_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(live_page, "FOLDER", tmp_path / "live")
    monkeypatch.setattr(live_page, "FRAGMENT", tmp_path / "live.html")
    monkeypatch.setattr("shutil.which", lambda name: None)
    live_page.make("1")
    assert "npm was not installed" in live_page.FRAGMENT.read_text() and not list(live_page.FOLDER.iterdir())


def test_what_npm_fetches_is_fixed():
    """By version and hash, and from the registry that npm is set up for."""
    [(name, version)] = json.loads((live_page.SOURCE / "package.json").read_text())["dependencies"].items()
    locked = json.loads((live_page.SOURCE / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == {name: version} and locked[f"node_modules/{name}"]["version"] == version
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in locked.values())
