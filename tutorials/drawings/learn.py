"""Drawings for the chapters about residual vectors and about training."""

import math

from drawings.canvas import BLUE, GREEN, INK, ORANGE, PINK, VIOLET, Canvas


def residual_vectors() -> Canvas:
    """Three entries added up, each shorter, towards the latent vector."""
    c = Canvas(480, 300,
               "Arrows in the plane. The entry of the first codebook leads from the origin close to the latent "
               "vector z, that of the second from there still closer, that of the third closer again. What remains "
               "is small.",
               "Each arrow is an entry. The first goes most of the way to z, the next ones correct what is left "
               "over. The decoder adds the three arrows; the dashed rest is lost.")
    origin, z = (56, 262), (366, 70)
    tips = [(284, 150), (348, 118), (352, 86)]
    c.arrow((30, 262), (468, 262), head=6, width=1)
    c.arrow((56, 288), (56, 14), head=6, width=1)
    c.line(origin, z, faint=True)
    starts = [origin, *tips[:-1]]
    names = ("e_{1}[i_{1}]", "e_{2}[i_{2}]", "e_{3}[i_{3}]")
    for (x0, y0), (x1, y1), name, colour, (dx, dy) in zip(starts, tips, names, (PINK, ORANGE, GREEN),
                                                         ((20, 22), (20, 22), (44, 10))):
        c.arrow((x0, y0), (x1, y1), colour=colour, width=3, head=11)
        c.text((x0 + x1) / 2 + dx, (y0 + y1) / 2 + dy, name, 16)
    c.line(tips[-1], z, colour=INK, dashed=True, width=1.5)
    c.circle(*z, 5, colour=BLUE, filled=0.9)
    c.text(z[0] - 8, z[1] - 18, "z", 18, italic=True, bold=True)
    c.text(z[0] + 14, z[1] - 4, "what is lost", 13, "start", faint=True)
    c.line((z[0] + 12, z[1] - 2), (364, 78), faint=True)
    c.circle(284, 150, 3, colour=PINK, filled=0.9)
    c.circle(348, 118, 3, colour=ORANGE, filled=0.9)
    return c


def training_loop() -> Canvas:
    """Generator and discriminator, what each is told, and the way the gradients go."""
    c = Canvas(480, 424,
               "The training loop. Sound goes through encoder, codebooks and decoder. The result is compared with "
               "the original in time and in spectra, and a discriminator says which of the two is real. Gradients go "
               "back to the decoder and the encoder; the discriminator learns from its own mistakes, in turns.",
               "Solid: what is computed. Dashed: the gradients, which say to each part how it should change. The "
               "codec (the generator) and the discriminator learn in turns.")
    y = 64
    c.text(240, 12, "the codec, or generator", 14, bold=True)
    c.box(74, 28, 332, 74, "", INK, dashed=True, filled=0.03)
    c.curve(6, y, 44, [13 * math.sin(0.9 * i) * math.sin(math.pi * i / 24) for i in range(25)], BLUE)
    c.arrow((53, y), (84, y))
    for x, name, colour in (86, "encoder", VIOLET), (200, "code-\nbooks", PINK), (314, "decoder", VIOLET):
        c.box(x, y - 24, 80, 48, name, colour, 14, 0.2)
    c.arrow((167, y), (198, y))
    c.arrow((281, y), (312, y))
    c.arrow((395, y), (426, y))
    c.curve(430, y, 44, [13 * math.sin(0.9 * i + 0.3 * math.sin(i)) * math.sin(math.pi * i / 24) for i in range(25)],
            ORANGE)
    c.text(28, 92, "x", 16, italic=True)
    c.text(452, 92, "x̂", 16, italic=True)
    c.line((28, 104), (28, 280), colour=BLUE)
    c.line((452, 104), (452, 280), colour=ORANGE)
    for at, text in (150, "difference in time"), (206, "difference of the spectra"):
        c.box(146, at - 20, 188, 40, text, GREEN, 14, 0.18)
        c.arrow((28, at), (144, at), colour=BLUE)
        c.arrow((452, at), (336, at), colour=ORANGE)
    c.box(146, 254, 188, 54, "discriminator:\nwhich one is real?", BLUE, 14, 0.18)
    c.arrow((28, 280), (144, 280), colour=BLUE)
    c.arrow((452, 280), (336, 280), colour=ORANGE)
    c.box(88, 344, 140, 44, "loss of the\ndiscriminator", INK, 13, 0.05)
    c.box(258, 344, 140, 44, "loss of the\ncodec", INK, 13, 0.05)
    c.arrow((190, 309), (170, 342))
    c.arrow((290, 309), (310, 342))
    c.arrow((88, 372), (60, 372), (60, 296), (144, 296), colour=PINK, dashed=True)
    c.arrow((398, 366), (424, 366), (424, 120), (354, 120), (354, 90), colour=PINK, dashed=True)
    c.text(240, 410, "both differences are part of the codec's loss", 13, faint=True)
    return c
