"""Drawings for the chapters about convolution, streaming, and the small parts."""

from drawings.canvas import BLUE, GREEN, ORANGE, PINK, VIOLET, Canvas


def kernel() -> Canvas:
    """A kernel of three weights on a row of samples, at one output; and where it lies for the next."""
    c = Canvas(480, 260,
               "A kernel of three weights lies on three neighbouring samples. Each weight is multiplied by the "
               "sample below it, and the products are added to one output. Then the kernel moves on by one sample.",
               "The kernel lies on three samples. Weight times sample, three times, and the sum is one output. Then "
               "it moves on by one.")
    x = [2, 5, 3, -1, -4, -2, 1, 4]
    w = [1, 2, -1]
    size, left, at = 52, 32, 2
    for i, value in enumerate(x):
        c.box(left + size * i, 150, size, 38, f"{value}".replace("-", "−"), BLUE, 16, 0.3 if at <= i < at + 3 else 0.08,
              round_=0)
    c.text(left, 204, "samples x", 13, "start", faint=True)
    for j, value in enumerate(w):
        c.box(left + size * (at + j) + 3, 84, size - 6, 34, f"{value}".replace("-", "−"), ORANGE, 16, 0.3)
        c.line((left + size * (at + j + 0.5), 120), (left + size * (at + j + 0.5), 148), faint=True)
        c.text(left + size * (at + j + 0.5) + 10, 134, "×", 14)
    c.text(left + size * at - 8, 101, "kernel w", 13, "end", faint=True)
    for j in range(3):
        c.box(left + size * (at + 1 + j) + 3, 84, size - 6, 34, "", ORANGE, 16, 0.0, dashed=True)
    c.arrow((left + size * (at + 4) + 6, 101), (left + size * (at + 4) + 40, 101), colour=ORANGE)
    products = [x[at + j] * w[j] for j in range(3)]
    c.arrow((left + size * (at + 1.5), 82), (left + size * (at + 1.5), 54))
    c.box(left + size * (at + 1), 14, size, 38, f"{sum(products)}", GREEN, 16, 0.3, round_=0)
    terms = " + ".join(f"{_signed(w[j])} · {_signed(x[at + j])}" for j in range(3))
    c.text(240, 236, f"y[{at}] = " + terms + f" = {sum(products)}", 15)
    for i in (at, at + 2):
        c.box(left + size * (i if i == at else at + 2), 14, size, 38, "", GREEN, 16, 0.04, round_=0)
    c.text(left, 33, "outputs y", 13, "start", faint=True)
    return c


def padded_buffer() -> Canvas:
    """What a streaming convolution keeps between two pieces, for kernel 4 and stride 2."""
    c = Canvas(480, 300,
               "Two pieces of a signal arrive one after the other. Before the first the signal is mirrored; between "
               "the two the convolution keeps the last two samples, since the next window begins with them.",
               "Kernel 4, stride 2. Before the first sample lies its mirror image; between two pieces the "
               "convolution keeps the samples that the next window begins with.")
    size, left = 34, 36

    def row(y: float, first: int, cells: list[tuple[str, str, float]]) -> None:
        for i, (text, colour, filled) in enumerate(cells):
            c.box(left + size * (first + i), y, size, 30, text, colour, 14, filled, round_=0)

    def window(y: float, first: int, output: str, drop: float = 0) -> None:
        x, low = left + size * first, y + 7 + drop
        c.line((x + 3, y), (x + 3, low), (x + 4 * size - 3, low), (x + 4 * size - 3, y), colour=GREEN)
        c.arrow((x + 2 * size, low), (x + 2 * size, y + 42), colour=GREEN)
        c.text(x + 2 * size + 6, y + 34, output, 14, "start")

    c.text(left, 12, "first piece", 13, "start", bold=True)
    row(28, 0, [("2", ORANGE, 0.3), ("1", ORANGE, 0.3)])
    row(28, 2, [(str(i), BLUE, 0.25) for i in range(6)])
    for n in range(3):
        window(60, 2 * n, f"y_{{{n}}}", 7 * (n % 2))
    c.text(left - 4, 84, "mirror", 13, "start", faint=True)
    c.text(left + size * 10.6, 43, "6 samples:\n3 outputs", 13, faint=True)
    c.text(left, 138, "kept: the buffer", 13, "start", bold=True)
    row(154, 6, [("4", PINK, 0.3), ("5", PINK, 0.3)])
    c.arrow((left + size * 7, 62), (left + size * 7, 152), colour=PINK)
    c.text(left, 206, "second piece", 13, "start", bold=True)
    row(222, 6, [("4", PINK, 0.3), ("5", PINK, 0.3), *[(str(i), BLUE, 0.25) for i in range(6, 10)]])
    c.arrow((left + size * 7, 186), (left + size * 7, 220), colour=PINK)
    window(254, 6, "y_{3}")
    c.text(left, 237, "no mirror here: the", 13, "start", faint=True)
    c.text(left, 253, "buffer stands there", 13, "start", faint=True)
    return c


def residual_block() -> Canvas:
    """The two ways through a residual block."""
    c = Canvas(480, 250,
               "A residual block. The input goes two ways: along the top through ELU, a convolution of kernel 3 to "
               "half the channels, ELU, and a convolution of kernel 1 back to all; along the bottom through a "
               "shortcut. The two are added.",
               "The upper path makes a correction; the lower one, the shortcut, passes the signal on. In the 24 and "
               "48 kHz models the shortcut is a convolution of kernel 1; in the 32 kHz model it is x itself.")
    y, low = 84, 186
    c.text(14, 136, "x", 18, italic=True)
    c.text(20, 158, "C × T", 13, faint=True)
    c.line((28, 136), (48, 136))
    c.arrow((48, 136), (48, y), (66, y))
    c.box(68, y - 19, 48, 38, "ELU", ORANGE)
    c.arrow((117, y), (139, y))
    c.box(141, y - 34, 76, 68, "conv\nkernel 3", VIOLET)
    c.arrow((218, y), (240, y))
    c.box(242, y - 19, 48, 38, "ELU", ORANGE)
    c.arrow((291, y), (313, y))
    c.box(315, y - 34, 76, 68, "conv\nkernel 1", VIOLET)
    c.text(266, y - 34, "C/2 × T", 13, faint=True)
    c.line((392, y), (420, y), (420, 122))
    c.arrow((420, y), (420, 122))
    c.arrow((48, 136), (48, low), (176, low))
    c.box(178, low - 24, 142, 48, "conv\nkernel 1", BLUE)
    c.arrow((321, low), (420, low), (420, 150))
    c.circle(420, 136, 13, "+", GREEN, 0.25, 18)
    c.arrow((434, 136), (456, 136))
    c.text(468, 136, "y", 18, italic=True)
    c.text(460, 158, "C × T", 13, faint=True)
    c.text(230, 22, "the branch", 14, bold=True)
    c.text(250, 228, "the shortcut", 14, bold=True)
    return c




def _signed(number: float) -> str:
    return f"{number:g}" if number >= 0 else f"(−{-number:g})"
