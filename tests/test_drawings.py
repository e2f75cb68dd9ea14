"""The drawings: each is valid SVG with words for those who do not see it, in the page's ink, readable on a phone."""

import re
import sys
import xml.etree.ElementTree as tree

import pytest

from tests.helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "tutorials"))

import drawings  # noqa: E402
from drawings.codec import CHAPTERS  # noqa: E402

EVERY = [(name, {}) for name in drawings.ALL if name != "here"] + [("here", {"chapter": n}) for n in CHAPTERS]
SVG = "{http://www.w3.org/2000/svg}"
PHONE = 350  # pixels that a drawing has there


def root_of(name, options):
    html = drawings.svg(name, **options)
    return tree.fromstring(html[html.index("<svg"):html.index("</svg>") + 6])


@pytest.mark.parametrize("name, options", EVERY, ids=str)
class TestDrawing:
    def test_is_valid_and_says_what_it_shows(self, name, options):
        root = root_of(name, options)
        assert root.get("role") == "img" and len(root.get("aria-label")) > 60
        assert re.fullmatch(r'<figure class="drawing"><svg.*</svg><figcaption>.+</figcaption></figure>',
                            drawings.svg(name, **options), flags=re.S)

    def test_stays_in_its_sheet(self, name, options):
        root = root_of(name, options)
        _, _, width, height = map(float, root.get("viewBox").split())
        for item in root.iter():
            for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", item.get("points", "")):
                assert 0 <= float(x) <= width and 0 <= float(y) <= height, tree.tostring(item)
            if item.tag == SVG + "rect":
                x, y, w, h = (float(item.get(key)) for key in ("x", "y", "width", "height"))
                assert 0 <= x and x + w <= width and 0 <= y and y + h <= height, tree.tostring(item)
            if item.tag == SVG + "text":
                size, x = float(item.get("font-size")), float(item.get("x"))
                wide = 0.62 * size * len("".join(item.itertext()).replace("\u200b", ""))
                left = x - wide * {"start": 0, "middle": 0.5, "end": 1}[item.get("text-anchor")]
                assert left >= -4 and left + wide <= width + 4, "".join(item.itertext())
                assert 0.6 * size <= float(item.get("y")) <= height, "".join(item.itertext())

    def test_type_is_large_enough_on_a_phone(self, name, options):
        root = root_of(name, options)
        scale = PHONE / float(root.get("viewBox").split()[2])
        assert all(scale * float(text.get("font-size")) >= 9.4 for text in root.iter(SVG + "text"))

    def test_text_has_the_ink_of_the_page(self, name, options):
        assert {text.get("fill") for text in root_of(name, options).iter(SVG + "text")} == {"currentColor"}


def test_links_of_the_map_lead_to_chapters():
    for number, name in CHAPTERS.items():
        assert (ROOT / "tutorials" / f"{name}.py").is_file() and name.startswith(f"{number:02d}_")
    targets = {item.get("href") for item in root_of("map", {}).iter(SVG + "a")}
    assert targets and targets <= {f"{name}.html" for name in CHAPTERS.values()}


def test_every_chapter_says_where_it_is():
    for number, name in CHAPTERS.items():
        assert f'book.drawing("here", chapter={number})' in (ROOT / "tutorials" / f"{name}.py").read_text()


def test_every_drawing_is_in_a_chapter():
    text = "\n".join(path.read_text() for path in (ROOT / "tutorials").glob("[01][0-9]_*.py"))
    assert all(f'book.drawing("{name}"' in text for name in drawings.ALL)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="expected one of map, here, kernel.*got 'cat'"):
        drawings.svg("cat")


def test_attention_computes_what_it_shows():
    words = " ".join("".join(text.itertext()) for text in root_of("attention", {}).iter(SVG + "text"))
    assert "28 %" in words and "14 %" in words and "58 %" in words and "(2.29, 1.71)" in words
