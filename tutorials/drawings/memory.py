"""Drawings for the chapters about the LSTM and about attention."""

import math
from collections.abc import Sequence

from drawings.canvas import BLUE, GREEN, ORANGE, PINK, VIOLET, Canvas


def lstm_cell() -> Canvas:
    """One step of an LSTM: the cell along the top, four gates below it."""
    c = Canvas(480, 340,
               "One step of an LSTM. The old cell is multiplied by the forget gate, the new candidate, multiplied by "
               "the input gate, is added to it: that is the new cell. Its tanh, multiplied by the output gate, is "
               "the output. Gates and candidate are computed from the input and the output of the step before.",
               "One step. The cell runs along the top: f says how much of it stays, i how much of the candidate g is "
               "added, o how much of it is shown. All four are computed from the input and the previous output.")
    top, gate, low = 46, 204, 282
    c.text(6, top, "c_{t−1}", 16, "start", italic=True)
    c.text(474, top, "c_{t}", 16, "end", italic=True)
    c.arrow((48, top), (96, top), colour=PINK, width=3)
    c.circle(110, top, 13, "×", PINK, 0.2, 17)
    c.arrow((124, top), (218, top), colour=PINK, width=3)
    c.circle(232, top, 13, "+", PINK, 0.2, 17)
    c.arrow((246, top), (450, top), colour=PINK, width=3)
    gates = ((110, "f", "σ", "forget", BLUE), (186, "i", "σ", "input", BLUE), (278, "g", "tanh", "candidate", ORANGE),
             (362, "o", "σ", "output", BLUE))
    for x, name, function, word, colour in gates:
        c.box(x - 33, gate - 20, 66, 40, function, colour, 15, 0.22)
        c.text(x - 9 if name in "fo" else x - 9, gate - 34, name, 16, "end", italic=True, bold=True)
        c.text(x, gate + 34, word, 13, faint=True)
        c.arrow((x, low - 4), (x, gate + 46))
        c.line((x, gate + 22), (x, gate + 22))
    c.arrow((110, gate - 21), (110, top + 15))
    c.circle(232, 128, 13, "×", GREEN, 0.2, 17)
    c.arrow((186, gate - 21), (186, 128), (217, 128))
    c.arrow((278, gate - 21), (278, 128), (247, 128))
    c.arrow((232, 113), (232, top + 15))
    c.box(388, 80, 60, 30, "tanh", ORANGE, 14, 0.22)
    c.arrow((418, top + 2), (418, 78), colour=PINK)
    c.circle(418, 142, 13, "×", GREEN, 0.2, 17)
    c.arrow((418, 111), (418, 127))
    c.arrow((362, gate - 21), (362, 142), (403, 142))
    c.arrow((432, 142), (452, 142))
    c.text(474, 142, "h_{t}", 16, "end", italic=True)
    c.line((110, low), (362, low))
    c.arrow((48, low), (110, low))
    c.text(6, low, "h_{t−1}", 16, "start", italic=True)
    c.arrow((236, 318), (236, low + 2))
    c.text(252, 318, "x_{t}", 16, "start", italic=True)
    return c


def attention(query: Sequence[float] = (2, 1), keys: Sequence[Sequence[float]] = ((1, 0), (0, 1), (1, 1)),
              values: Sequence[Sequence[float]] = ((4, 0), (0, 4), (2, 2))) -> Canvas:
    """Frame 3 asks, frames 1 to 3 answer, in numbers: products, shares, a mean of values."""
    scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(len(query)) for key in keys]
    powers = [math.exp(score - max(scores)) for score in scores]
    shares = [power / sum(powers) for power in powers]
    mean = [sum(share * value[i] for share, value in zip(shares, values)) for i in range(len(values[0]))]

    def told(numbers: Sequence[float], digits: int = 0) -> str:
        return "(" + ", ".join(f"{number:.{digits}f}" if digits else f"{number:g}" for number in numbers).replace(
            "-", "−") + ")"

    c = Canvas(480, 392,
               "Attention with three frames. The query of frame 3 is multiplied with the key of each frame; the "
               "products become shares with the sum 1; the output is the mean of the three values with these shares.",
               "Frame 3 asks with its query. Key times query says how well each frame fits; the softmax makes shares "
               "of that; the answer is the mean of the values, each by its share.")
    middles, width = (128, 248, 368), 104
    for x, key, value, score, share, n in zip(middles, keys, values, scores, shares, (1, 2, 3)):
        c.text(x, 14, f"frame {n}", 14, bold=True)
        c.box(x - width / 2, 30, width, 34, f"k_{{{n}}} = {told(key)}", BLUE, 14, 0.2)
        c.arrow((x, 66), (x, 128))
        c.box(x - width / 2, 130, width, 34, f"{score:.2f}".replace("-", "−"), ORANGE, 15, 0.12)
        c.arrow((x, 166), (x, 188))
        c.box(x - width / 2, 190, width, 34, f"{100 * share:.0f} %", ORANGE, 15, 0.08 + 0.5 * share, bold=True)
        c.box(x - width / 2, 240, width, 34, f"v_{{{n}}} = {told(value)}", GREEN, 14, 0.2)
        c.line((x, 224), (x, 240))
        c.arrow((x, 276), (x, 300), (248, 300), (248, 326)) if x != 248 else c.arrow((x, 276), (x, 326))
    c.box(6, 80, 58, 34, f"{told(query)}", VIOLET, 14, 0.2)
    c.text(35, 66, "q_{3}", 15)
    c.line((64, 97), (368, 97), colour=VIOLET)
    for x in middles:
        c.circle(x, 97, 10, "·", VIOLET, 0.9, 20)
    c.text(6, 147, "q · k / √2", 13, "start", faint=True)
    c.text(6, 207, "softmax", 13, "start", faint=True)
    c.text(6, 257, "value", 13, "start", faint=True)
    c.text(6, 47, "key", 13, "start", faint=True)
    c.box(168, 328, 160, 38, told(mean, 2), GREEN, 16, 0.35)
    c.text(158, 347, "answer for frame 3", 13, "end", faint=True)
    return c
