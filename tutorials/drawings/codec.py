"""The map: the whole codec in one drawing, and small at the head of each chapter."""

import math

from drawings.canvas import BLUE, GREEN, INK, ORANGE, PINK, VIOLET, Canvas

CHAPTERS = {
    0: "00_hear_it_first", 1: "01_sound_as_numbers", 2: "02_convolution", 3: "03_stride_padding_causality",
    4: "04_transposed_convolution", 5: "05_streaming", 6: "06_elu_weightnorm_residual", 7: "07_lstm", 8: "08_seanet",
    9: "09_rvq", 10: "10_the_whole_codec", 11: "11_bits_and_files", 12: "12_arithmetic_coding",
    13: "13_language_model", 14: "14_training", 15: "15_search"}

# What a chapter is about: places on the small map, and words for them.
_WHERE = {
    0: ("sound1 encoder latent1 codebooks codes1 coder file codes2 latent2 decoder sound2", "all of it, from outside"),
    1: ("sound1 sound2", "sound, before and after"),
    2: ("encoder decoder", "the convolutions that encoder and decoder are made of"),
    3: ("encoder", "how the encoder gets from 24 000 samples a second to 75 frames, and how far it looks ahead"),
    4: ("decoder", "how the decoder gets back up to 24 000 samples"),
    5: ("sound1 encoder decoder sound2", "encoder and decoder, fed piece by piece"),
    6: ("encoder decoder", "the small parts between the convolutions of encoder and decoder"),
    7: ("encoder decoder", "the memory in encoder and decoder"),
    8: ("encoder latent1 latent2 decoder", "encoder and decoder, complete"),
    9: ("latent1 codebooks codes1 codes2 latent2", "the codebooks: from latent vectors to codes and back"),
    10: ("sound1 encoder latent1 codebooks codes1 codes2 latent2 decoder sound2", "all parts together"),
    11: ("codes1 coder file codes2", "codes as bits, and bits as a file"),
    12: ("codes1 coder codes2", "the coder that makes the bits fewer"),
    13: ("codes1 coder codes2", "what the coder knows beforehand: a language model of codes"),
    14: ("sound1 encoder latent1 codebooks latent2 decoder sound2", "how encoder, codebooks and decoder are learnt"),
    15: ("latent1 codebooks codes1 coder", "how the encoder chooses codes: for less error, and for fewer bits"),
}
_LABEL = ("The codec as a chain. Sound goes through the encoder to latent vectors, through the codebooks to codes, "
          "through the coder to a file; and back through codes, codebooks, latent vectors and the decoder to sound.")


def _wave(n: int, height: float) -> list[float]:
    return [height * math.sin(0.9 * i) * math.sin(math.pi * i / (n - 1)) * (0.6 + 0.4 * math.sin(0.23 * i))
            for i in range(n)]


def here(chapter: int) -> Canvas:
    """The codec in two rows, with the parts that a chapter is about in colour."""
    lit, words = _WHERE[chapter]
    c = Canvas(480, 112, _LABEL + f" You are here: {words}.", f"<strong>You are here:</strong> {words}. "
               '(<a href="one_file.html">All of it in one file</a>)')
    width, gap, tall = 66, 9.6, 40

    def place(name: str, column: int, row: int, text: str, colour: str, high: float = tall) -> None:
        on = name in lit.split()
        x, y = 1 + column * (width + gap), 6 + row * 58
        c.box(x, y, width, high, text, colour if on else INK, 13, 0.32 if on else 0.03, bold=on)

    top = ["sound1", "encoder", "latent1", None, "codes1"]
    bottom = ["sound2", "decoder", "latent2", None, "codes2"]
    for row, names in enumerate((top, bottom)):
        for column, name in enumerate(names):
            if name:
                text = name.rstrip("12") if name[:6] != "latent" else "latent"
                place(name, column, row, text, {"s": BLUE, "l": GREEN, "c": ORANGE}.get(name[0], VIOLET))
            y, x = 26 + 58 * row, 1 + column * (width + gap) + width
            ends = [(x + 1, y), (x + gap - 1, y)]
            c.arrow(*(ends if row == 0 else ends[::-1]), head=6)
    place("codebooks", 3, 0, "code-\nbooks", PINK, 98)
    place("coder", 5, 0, "coder", ORANGE)
    place("file", 5, 1, "file", ORANGE)
    x = 1 + 5 * (width + gap) + width / 2
    c.arrow((x, 47), (x, 63), head=6)
    return c


def whole_map() -> Canvas:
    """Both directions as a U: down the encoder's side, up the decoder's, with the shapes of one second of sound."""
    c = Canvas(480, 640, _LABEL + " With the shapes for one second at 6 kbit/s.",
               "One second of sound at 6 kbit/s, with the shape of the numbers at each arrow. Each part leads to its "
               "chapter.")
    left, right = 110, 370
    c.text(left, 14, "encode", 15, bold=True)
    c.text(right, 14, "decode", 15, bold=True)
    for x, name in (left, "sound"), (right, "sound"):
        _link(c, 1, name)
        c.box(x - 90, 30, 180, 50, colour=BLUE, filled=0.1)
        c.curve(x - 82, 55, 164, _wave(90, 19), BLUE)
        c.close_link()
    _flow(c, left, 82, 116, "1 × 24 000")
    _flow(c, right, 116, 82, "1 × 24 000")
    _link(c, 8, "encoder")
    c.polygon([(left - 90, 118), (left + 90, 118), (left + 42, 212), (left - 42, 212)], VIOLET)
    c.text(left, 138, "encoder", 16, bold=True)
    c.text(left, 166, "÷ 2, 4, 5, 8", 13)
    c.text(left, 184, "chapters 2–8", 13, faint=True)
    c.close_link()
    _link(c, 8, "decoder")
    c.polygon([(right - 90, 118), (right + 90, 118), (right + 42, 212), (right - 42, 212)], VIOLET)
    c.text(right, 138, "decoder", 16, bold=True)
    c.text(right, 166, "× 8, 5, 4, 2", 13)
    c.text(right, 184, "chapters 2–8", 13, faint=True)
    c.close_link()
    _flow(c, left, 214, 250, "")
    _flow(c, right, 250, 214, "")
    for x in (left, right):
        for i in range(9):
            for j in range(4):
                level = 0.12 + 0.5 * abs(math.sin(3.1 * i + 1.7 * j * j + (x > 200)))
                c.add("rect", x=x - 54 + 12 * i, y=252 + 9 * j, width=11, height=8, fill=GREEN, opacity=level)
    c.text(240, 269, "latent vectors\n128 × 75", 13)
    _flow(c, left, 292, 322, "")
    _flow(c, right, 322, 292, "")
    _link(c, 9, "codebooks")
    c.box(20, 324, 440, 74, colour=PINK)
    c.text(240, 342, "8 codebooks", 16, bold=True)
    c.text(left, 372, "name the\nnearest entry", 13)
    c.text(right, 372, "look them up,\nadd them up", 13)
    c.text(240, 366, "1024 entries each", 13)
    c.text(240, 384, "chapter 9", 13, faint=True)
    c.close_link()
    _flow(c, left, 400, 434, "codes\n8 × 75")
    _flow(c, right, 434, 400, "codes\n8 × 75")
    _link(c, 11, "bits")
    c.box(20, 436, 440, 74, colour=ORANGE)
    c.text(240, 454, "coder", 16, bold=True)
    c.text(left, 484, "10 bits a code,\nor fewer", 13)
    c.text(right, 484, "the same\nbackwards", 13)
    c.text(240, 478, "chapters 11–13", 13, faint=True)
    c.close_link()
    c.arrow((left, 512), (left, 580), (178, 580))
    c.text(left - 10, 548, "6000 bits", 13, "end")
    c.arrow((302, 580), (right, 580), (right, 512))
    c.box(180, 548, 120, 64, "file\n750 bytes", ORANGE, 15, 0.28)
    c.text(240, 630, "chapter 14: how all of this is learnt", 13, faint=True)
    return c


def _flow(c: Canvas, x: float, start: float, end: float, shape: str) -> None:
    """An arrow down or up, with a shape beside it, towards the middle of the drawing."""
    c.arrow((x, start), (x, end))
    inner = 1 if x < 240 else -1
    c.text(x + 10 * inner, (start + end) / 2, shape, 13, "start" if inner > 0 else "end")


def _link(c: Canvas, chapter: int, label: str) -> None:
    c.open_link(f"{CHAPTERS[chapter]}.html", f"{label}: chapter {chapter}")
