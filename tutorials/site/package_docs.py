"""What the site adds to Sphinx: docstrings as this project writes them, links from code to the reference, a time limit.

Docstrings are numpydoc in outline and plain text otherwise: a name in backticks may be a module of the package, a
function of the same module, or just code; a paragraph that is indented is a formula or a program; `|r|^2` means what
it says. Here all that becomes reStructuredText.
"""

import pkgutil
import re

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

import tinyencodec

MODULES = {info.name.removeprefix("tinyencodec.")
           for info in pkgutil.walk_packages(tinyencodec.__path__, "tinyencodec.")}
_HEADING = re.compile(r"(\w+)\n-{3,}(\n|$)")
_ENTRY = re.compile(r"([\w*]+(?: \([^)]*\))?(?:, [\w*]+(?: \([^)]*\))?)*) : ")
_CODE = re.compile(r"`+([^`]+)`+")
_CHAPTERS = re.compile(r"Chapters? [\d, and]+(?= of the tutorials)")
_SPECIAL = re.compile(r"(?<!\*)\*(?!\*)|\||(?<=\w)_(?!\w)|\\")  # what reStructuredText would read as markup; not **


def rst_docstring(lines: list[str], chapters: dict[int, str]) -> list[str]:
    """A docstring, line by line, as reStructuredText. `chapters`: documents by number."""
    out = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        heading = _HEADING.match(block)
        if heading:
            out += [f".. rubric:: {heading[1]}", ""]
            block = block[heading.end():]
        if block.startswith(" "):
            out += ["::", "", *("   " + line for line in block.split("\n")), ""]
        elif heading or _ENTRY.match(block):  # one entry a line, which goes on in indented lines or after a comma
            for entry in re.split(r"(?<!,)\n(?! )", block):
                text = " ".join(entry.split())
                name = _ENTRY.match(text)
                out.append(f"- **{_prose(name[1], {})}** : {_paragraph(text[name.end():], chapters)}" if name else
                           f"- {_paragraph(text, chapters)}")
            out.append("")
        else:
            out += [*_paragraph(block, chapters).split("\n"), ""]
    return out


def _paragraph(text: str, chapters: dict[int, str]) -> str:
    parts = _CODE.split(text)
    return "".join(_code(part) if i % 2 else _prose(part, chapters) for i, part in enumerate(parts))


def _prose(text: str, chapters: dict[int, str]) -> str:
    def link(found: re.Match) -> str:
        return re.sub(r"(Chapter )?(\d+)", lambda part: f":doc:`{part[0]} </{chapters[int(part[2])]}>`"
                      if int(part[2]) in chapters else part[0], found[0])

    return _CHAPTERS.sub(link, _SPECIAL.sub(lambda found: "\\" + found[0], text))


def _code(name: str) -> str:
    if name.removeprefix("tinyencodec.") in MODULES:
        return f":py:mod:`{name} <tinyencodec.{name.removeprefix('tinyencodec.')}>`"
    return f":py:obj:`{name}`" if re.fullmatch(r"[A-Za-z_][\w.]*", name) else f"``{name}``"


def _chapters(app) -> dict[int, str]:
    return {int(name[:2]): name for name in app.env.found_docs if re.match(r"\d\d_", name)}


def _convert_docstring(app, what, name, obj, options, lines):
    if lines and lines[0].startswith("Alias for field number"):  # a named tuple's own words
        lines.clear()
    lines[:] = rst_docstring(lines, _chapters(app))


class LinkCode(SphinxPostTransform):
    """Inline code that names something in the reference, `tinyencodec.codec.rvq` or `codec.rvq`, links to it."""

    default_priority = 200

    def run(self, **kwargs):
        objects = self.env.domains["py"].objects
        for literal in list(self.document.findall(nodes.literal)):
            name = literal.astext().partition("(")[0]
            target = objects.get(name) or "." in name and objects.get(f"tinyencodec.{name}")
            if target and not isinstance(literal.parent, nodes.reference) and target.docname != self.env.docname:
                reference = make_refnode(self.app.builder, self.env.docname, target.docname, target.node_id, [])
                literal.replace_self(reference)
                reference += literal


def _deal_chapters(app, env, names):
    """Spread the chapters among all pages. Sphinx gives its processes some thirty at a time, in this order."""
    chapters = [name for name in names if re.match(r"\d\d_", name)]
    others = [name for name in names if name not in chapters]
    step = len(others) / max(1, len(chapters))
    place = {name: i for i, name in enumerate(others)} | {name: i * step for i, name in enumerate(chapters)}
    names.sort(key=place.__getitem__)


def _check_runs(app, env):
    """Stop the build if a chapter failed or took too long, and say where."""
    for name, data in env.nb_metadata.items():
        run = data.get("exec_data") or {}
        if not run.get("succeeded", True):
            raise ExtensionError(f"{name} failed\n{run.get('traceback') or run.get('error')}")
        seconds, limit = run.get("runtime") or 0, app.config.chapter_time_limit
        if seconds > limit:
            raise ExtensionError(f"{name}: expected at most {limit} s, took {seconds:.0f} s")


def setup(app):
    app.add_config_value("chapter_time_limit", 600, "env", (int,))
    app.connect("autodoc-process-docstring", _convert_docstring)
    app.connect("env-before-read-docs", _deal_chapters)
    app.connect("env-updated", _check_runs)
    app.add_post_transform(LinkCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
