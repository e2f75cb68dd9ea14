"""A sheet to draw on: boxes, arrows and text, in the ink of the page."""

import html
import math
import re
from collections.abc import Sequence

BLUE, ORANGE, GREEN, PINK, VIOLET = "#3b82c4", "#e0803a", "#3fa66b", "#c2558f", "#8a6fd1"  # as in the figures
INK = "currentColor"


class Canvas:
    """A drawing of `width` times `height` units.

    label : what it shows, for those who do not see it
    caption : a line below it, HTML
    """

    def __init__(self, width: float, height: float, label: str, caption: str = "") -> None:
        self.width, self.height, self.label, self.caption = width, height, label, caption
        self._parts: list[str] = []

    def add(self, tag: str, text: str = "", **attributes: object) -> None:
        """An element; `_` in the name of an attribute stands for `-`."""
        told = "".join(f' {name.strip("_").replace("_", "-")}="{_shown(value)}"' for name, value in attributes.items())
        self._parts.append(f"<{tag}{told}>{text}</{tag}>")

    def text(self, x: float, y: float, text: str, size: float = 14, anchor: str = "middle", fill: str = INK,
             bold: bool = False, italic: bool = False, faint: bool = False) -> None:
        """Text around or from x, its middle at y. "h_{t}" has an index; a new line begins a new line."""
        lines = text.split("\n")
        for i, line in enumerate(lines):
            style = {"font_weight": 600} if bold else {}
            style |= {"font_style": "italic"} if italic else {}
            style |= {"opacity": 0.75} if faint else {}
            at = y + (i - (len(lines) - 1) / 2) * 1.25 * size + 0.35 * size
            self.add("text", _with_indices(line), x=x, y=at, font_size=size, text_anchor=anchor, fill=fill, **style)

    def box(self, x: float, y: float, w: float, h: float, text: str = "", colour: str = INK, size: float = 14,
            filled: float = 0.14, dashed: bool = False, bold: bool = False, round_: float = 5) -> None:
        """A box from its upper left corner, with text in its middle."""
        more = {"stroke_dasharray": "5 4"} if dashed else {}
        self.add("rect", x=x, y=y, width=w, height=h, rx=round_, fill=colour, fill_opacity=filled, stroke=colour,
                 stroke_width=1.4, **more)
        if text:
            self.text(x + w / 2, y + h / 2, text, size, bold=bold)

    def polygon(self, points: Sequence[tuple[float, float]], colour: str = INK, filled: float = 0.14) -> None:
        """A closed shape."""
        self.add("polygon", points=" ".join(f"{_shown(x)},{_shown(y)}" for x, y in points), fill=colour,
                 fill_opacity=filled, stroke=colour, stroke_width=1.4, stroke_linejoin="round")

    def line(self, *points: tuple[float, float], colour: str = INK, width: float = 1.5, dashed: bool = False,
             faint: bool = False) -> None:
        """A line through points."""
        more = {"stroke_dasharray": "5 4"} if dashed else {}
        more |= {"opacity": 0.45} if faint else {}
        self.add("polyline", points=" ".join(f"{_shown(x)},{_shown(y)}" for x, y in points), fill="none",
                 stroke=colour, stroke_width=width, stroke_linejoin="round", stroke_linecap="round", **more)

    def arrow(self, *points: tuple[float, float], colour: str = INK, width: float = 1.6, head: float = 7,
              dashed: bool = False) -> None:
        """A line through points, with a head at the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        angle = math.atan2(y1 - y0, x1 - x0)
        back = x1 - 0.8 * head * math.cos(angle), y1 - 0.8 * head * math.sin(angle)
        self.line(*points[:-1], back, colour=colour, width=width, dashed=dashed)
        wings = [(x1 - head * math.cos(angle + turn), y1 - head * math.sin(angle + turn)) for turn in (0.42, -0.42)]
        self.add("polygon", points=" ".join(f"{_shown(x)},{_shown(y)}" for x, y in [(x1, y1), *wings]), fill=colour)

    def circle(self, x: float, y: float, r: float, text: str = "", colour: str = INK, filled: float = 0.14,
               size: float = 14) -> None:
        """A circle with text in its middle."""
        self.add("circle", cx=x, cy=y, r=r, fill=colour, fill_opacity=filled, stroke=colour, stroke_width=1.4)
        if text:
            self.text(x, y, text, size)

    def curve(self, x: float, y: float, width: float, values: Sequence[float], colour: str = INK,
              stroke: float = 1.5) -> None:
        """A curve of values (upwards) around y, from x on."""
        step = width / (len(values) - 1)
        self.line(*((x + i * step, y - value) for i, value in enumerate(values)), colour=colour, width=stroke)

    def open_link(self, target: str, label: str) -> None:
        """What is drawn until `close_link` leads to another page."""
        self._parts.append(f'<a href="{html.escape(target)}" aria-label="{html.escape(label)}" '
                           'style="color: inherit; text-decoration: none">')

    def close_link(self) -> None:
        """See `open_link`."""
        self._parts.append("</a>")

    def svg(self) -> str:
        """The drawing alone."""
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_shown(self.width)} {_shown(self.height)}" '
                f'role="img" aria-label="{html.escape(self.label)}" font-family="inherit" '
                f'style="display: block; width: 100%; max-width: {round(1.2 * self.width)}px; height: auto; '
                f'margin: 0 auto">{"".join(self._parts)}</svg>')

    def html(self) -> str:
        """The drawing with its caption."""
        caption = f"<figcaption>{self.caption}</figcaption>" if self.caption else ""
        return f'<figure class="drawing">{self.svg()}{caption}</figure>'


def _shown(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _with_indices(line: str) -> str:
    """Escaped text, "_{...}" lowered and "^{...}" raised."""
    parts = re.split(r"([_^])\{([^}]*)\}", html.escape(line))
    out = parts[0]
    for kind, index, rest in zip(parts[1::3], parts[2::3], parts[3::3]):
        shift = 0.28 if kind == "_" else -0.42
        out += (f'<tspan dy="{shift}em" font-size="72%">{index}</tspan>'
                f'<tspan dy="{-0.72 * shift:.3f}em">{rest or chr(8203)}</tspan>')
    return out
