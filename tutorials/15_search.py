# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 15 Search
#
# The quantiser of [chapter 9](09_rvq.py) is *greedy*: each codebook takes the entry nearest to what is left, and never
# looks back. That is quick, and what EnCodec does. But a decoder adds up whatever entries it is told to. So an encoder
# is free to look for better ones: the same decoder, the same file, the same number of bits, and a better sound. Every
# video encoder works like that.
#
# **What you will see**
#
# - a point that the greedy choice misses and the second nearest entry hits
# - beam search, which keeps several choices alive, as a tree
# - the error it saves, for one choice kept and for sixteen
# - what a bit is worth: choosing codes by error *and* bits, and the curve that comes of it
# - the same phrase three times, at equal and at fewer bytes

# %%
import book
import matplotlib.pyplot as plt
import numpy as np

import tinyencodec
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.entropy.rate import WEIGHT, RateSearch, bits_of

book.open_chapter()
model = tinyencodec.load_model()
wav = book.recording("speech")
z = np.ascontiguousarray(model.latents(wav).T)  # [D, F] -> [F, D]
books = model.quantizer.codebooks[:8]  # 6 kbit/s

# %% [markdown]
# ## When the nearest is not the best
#
# Two codebooks of two entries each, in the plane, and a point to be coded. The greedy choice begins with the nearer
# entry of the first codebook. What is left then is something that the second codebook has nothing for. The other entry
# is further from the point, but its rest is exactly an entry of the second codebook.

# %%
first, second = np.array([[4, 0], [0, 5]], np.float32), np.array([[0, 0], [3, -2]], np.float32)
point = np.array([[3, 3]], np.float32)
tiny = ResidualVectorQuantizer([first, second])
plt.figure(figsize=(6, 4.4))
for name, width, colour in (("greedy", 1, "C1"), ("two choices kept", 2, "C2")):
    codes = tiny.encode(point, search=width)
    a, b = first[codes[0, 0]], second[codes[1, 0]]
    error = float(np.linalg.norm(point - a - b))
    plt.plot(*np.array([[0, 0], a, a + b]).T, color=colour, marker="o", label=f"{name}: {error:.2f} away")
plt.plot(*point.T, "k*", markersize=14, label="the point")
plt.plot(*first.T, "s", color="gray", alpha=0.5, label="first codebook")
plt.gca().set(xlabel="first number", ylabel="second number", title="Second choice first", aspect="equal")
plt.legend(loc="center right")
book.show("second_choice")
assert (tiny.encode(point).ravel() == 0).all() and (tiny.encode(point, search=2).ravel() == 1).all()

# %% [markdown]
# ## A beam
#
# Trying all choices is out of the question: eight codebooks of 1024 entries make $2^{80}$. [Beam
# search](glossary.md#beam-search) keeps the $B$ best choices of the first $k$ codes, extends each by every entry of the
# next codebook, and keeps the $B$ best of those. "Best" means the least error so far. With $r$ what a choice has left,
# and $e$ an entry,
#
# $$ \tfrac12 |r - e|^2 = \tfrac12 |r|^2 - \left(r \cdot e - \tfrac12 |e|^2\right), $$
#
# so the errors of all extensions are one matrix product, as in chapter 9. Here it is for one frame.

# %%
def beam(frame, books, width):
    """For each codebook the kept choices, best first: rows (error, parent, codes)."""
    kept, levels = [(np.square(frame).sum() / 2, 0, ())], []
    for entries in books:
        half_norms = np.square(entries).sum(axis=1) / 2
        rests = [frame - sum((book[i] for book, i in zip(books, codes)), np.zeros_like(frame)) for _, _, codes in kept]
        costs = np.array([cost - (rest @ entries.T - half_norms) for (cost, _, _), rest in zip(kept, rests)])  # [B, N]
        best = [np.unravel_index(i, costs.shape) for i in np.argsort(costs, axis=None)[:width]]
        kept = [(costs[row, n], row, (*kept[row][2], int(n))) for row, n in best]
        levels.append(kept)
    return levels


greedy_codes = model.quantizer.encode(z, 8)
frame = 140
levels, greedy = beam(z[frame], books, 6), beam(z[frame], books, 1)
assert greedy[-1][0][2] == tuple(greedy_codes[:, frame])
assert levels[-1][0][0] <= greedy[-1][0][0]

# %%
plt.figure(figsize=(9, 4))
winner = levels[-1][0][2]
for k, kept in enumerate(levels):
    for cost, parent, codes in kept:
        before = levels[k - 1][parent][0] if k else cost
        won = codes == winner[:k + 1]
        plt.plot([max(k, 0.6), k + 1], [before, cost], color="C2" if won else "gray", lw=2.5 if won else 0.7,
                 zorder=3 if won else 1)
plt.plot(range(1, 9), [kept[0][0] for kept in greedy], "o--", color="C1", label="greedy")
plt.plot([], [], color="C2", lw=2.5, label="the choice that wins")
plt.plot([], [], color="gray", lw=0.7, label="others that were kept")
plt.gca().set(xlabel="codebooks", ylabel="error left (half its square)", yscale="log",
              title=f"Six choices kept for frame {frame}")
plt.legend()
book.show("tree")

# %% [markdown]
# The winner need not be the best on the way. One thing plain beam search does not promise: that it beats the greedy
# choice in the end, since that may drop out of the $B$ and would have recovered. The package always keeps it as one of
# the $B$, so a frame can only gain. `search=1` is the greedy algorithm, code for code.

# %%
def errors(codes):
    """Squared error of each frame."""
    return np.square(z.astype(np.float64) - model.quantizer.decode(codes)).sum(axis=1)


def si_snr(y):
    """Scale-invariant signal-to-noise ratio of the decoded phrase, in dB."""
    x, y = wav[0] - wav[0].mean(), y[0] - y[0].mean()
    part = (x @ y) / (x @ x) * x
    return 10 * np.log10((part @ part) / np.square(y - part).sum())


def decoded(codes):
    return model.decode([(codes, None)], wav.shape[1])


widths = [1, 2, 4, 8, 16]
searched = {width: model.quantizer.encode(z, 8, width) for width in widths}
assert np.array_equal(searched[1], greedy_codes)
for width in widths[1:]:  # never worse, but for the rounding of these sums
    assert (errors(searched[width]) <= errors(greedy_codes) * (1 + 1e-6)).all()
means = [errors(searched[width]).mean() for width in widths]
ratios = [si_snr(decoded(searched[width])) for width in widths]
assert np.all(np.diff(means) < 0) and ratios[3] > ratios[0]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.semilogx(widths, 100 * np.array(means) / means[0], "o-", base=2)
left.set(xlabel="choices kept", ylabel="% of the greedy error", title="Error of the latents")
right.semilogx(widths, ratios, "o-", base=2, color="C1")
right.set(xlabel="choices kept", ylabel="SI-SNR / dB", title="The decoded phrase")
for axis in (left, right):
    axis.set_xticks(widths, widths)
book.show("widths")
different = 100 * np.mean(searched[8] != greedy_codes)
book.say(f"With eight choices, {different:.0f} % of the codes are others, {100 * (1 - means[3] / means[0]):.0f} % of "
         f"the error is gone, and the phrase gains {ratios[3] - ratios[0]:.2f} dB. Not a bit more is sent.")

# %% [markdown]
# ## What a bit is worth
#
# In an entropy-coded file codes have different prices: a frequent one costs few bits, a surprising one many
# ([chapter 12](12_arithmetic_coding.py)). Then the nearest entry can be a bad bargain, where another one is hardly
# further away and saves five bits. So let the search count both. It looks for the least
#
# $$ \tfrac12 |\text{error}|^2 + \text{price} \cdot \text{bits}. $$
#
# A price of 0 is the search above; the higher it is, the smaller the file, and the larger the error. This is
# [rate–distortion](glossary.md#rate-and-distortion) optimisation, and the sum is its *Lagrangian*. Only the encoder
# knows of it: the decoder gets codes like any others.

# %%
coder = load_coder("table", model)
bits = bits_of(coder._cdf[7:8])[0]  # of each entry of the last codebook
rest = z[frame] - model.quantizer.decode(greedy_codes[:7])[frame]
half_squares = np.square(rest - books[7]).sum(axis=1) / 2
prices = np.array([0, 2, 8]) * RateSearch(model.quantizer, 8, 8, 1.0).price(z)
plt.figure(figsize=(8, 3.6))
plt.plot(bits, half_squares, ".", color="gray", alpha=0.5, markersize=4)
for i, price in enumerate(prices):
    best = np.argmin(half_squares + price * bits)
    plt.plot(bits[best], half_squares[best], "o", color=f"C{i}", markersize=9 - 2 * i, label=f"price {price:.2f}")
plt.gca().set(xlabel="bits, by the tables", ylabel="error left (half its square)",
              title=f"All entries of codebook 8, for frame {frame}",
              ylim=(0.8 * half_squares.min(), 2 * half_squares.min()))
plt.legend()
book.show("bargain")

# %% [markdown]
# What should a bit cost? An error that is large in a soft recording is small in a loud one, so the package measures it
# in what the greedy codes leave: at *rate weight* 1, a bit is worth the greedy codes' error divided by their bits, 80
# in each frame, as means over a block of four seconds. The language model of
# [chapter 13](13_language_model.py) knows the prices of a whole frame before any of its codes is chosen, because it
# guesses all codebooks at once. So with it, too, each frame is a search of its own, and only then does the next one
# begin. Moving the weight draws a curve.

# %%
latents = np.ascontiguousarray(z.T)
curves = {}
for kind, weights in (("table", (0, 0.5, 1, 2, 4, 8)), ("lm", (0, WEIGHT, 3 * WEIGHT))):
    coder = load_coder(kind, model)
    points = [(len(coder.encode([greedy_codes])[0]), errors(greedy_codes).mean(), greedy_codes)]
    for weight in weights:
        ((codes, data),) = coder.choose([latents], RateSearch(model.quantizer, 8, 8, weight))
        assert np.array_equal(coder.decode([(data, len(z))], 8)[0], codes)
        points.append((len(data), errors(codes).mean(), codes))
    sizes = [size for size, _, _ in points[1:]]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]
    curves[kind] = points

# %%
for i, (kind, points) in enumerate(curves.items()):
    sizes, means, _ = zip(*points)
    name = {"table": "tables", "lm": "language model"}[kind]
    plt.plot(sizes[1:], means[1:], "o-", color=f"C{i}", label=f"{name}, weights from 0 up")
    plt.plot(sizes[:1], means[:1], "*", color=f"C{i}", markersize=13, label=f"{name}, greedy")
plt.gca().set(xlabel="bytes of the phrase", ylabel="mean error of a frame", title="Rate and distortion, 8 choices kept")
plt.legend()
book.show("curve")

# %%
size, error, _ = curves["lm"][0]
lines = ["| with the language model | bytes | error | SI-SNR / dB |", "|---|---|---|---|"]
names = ("greedy", "search, weight 0", f"search, weight {WEIGHT:g}", f"search, weight {3 * WEIGHT:g}")
for name, (size, error, codes) in zip(names, curves["lm"]):
    lines.append(f"| {name} | {size} | {error:.1f} | {si_snr(decoded(codes)):.2f} |")
book.say("\n".join(lines))
greedy_size, searched_size, cheaper_size = (curves["lm"][i][0] for i in range(3))
assert cheaper_size < 0.97 * greedy_size and curves["lm"][2][1] < curves["lm"][0][1]
book.play(24_000, original=wav, **{f"greedy,_{greedy_size}_bytes": decoded(curves["lm"][0][2]),
                                  f"search,_{searched_size}_bytes": decoded(curves["lm"][1][2]),
                                  f"by_bits_too,_{cheaper_size}_bytes": decoded(curves["lm"][2][2])})

# %% [markdown]
# The first two take the same number of bytes but for a few; the third takes fewer. In Python and on the command line:
#
# ```
# model.encode(wav, 6.0, search=8)
# tinyencodec.compress(model, wav, entropy="lm", search=8, rate_weight=2)
# tinyencodec --search 8 --lm --rate-weight 2 song.mp3
# ```
#
# ## Summary
#
# - A greedy quantiser takes the nearest entry of each codebook, and may leave what no later codebook can mend.
# - Beam search keeps the best $B$ choices from codebook to codebook; with the greedy one always among them it never
#   loses.
# - Adding the bits, at a price, to the error makes files smaller; the price moves along the curve of rate and
#   distortion.
# - Decoder, weights and file format know nothing of it.
#
# ## Exercises
#
# 1. *(easy)* How much of the gain of eight choices comes from keeping just two?
# 2. *(medium)* Show that plain beam search can lose: look for a frame in which `beam` with two choices ends with a
#    larger error than with one.
# 3. *(hard)* Codes are chosen frame by frame. Choose the codes of each codebook by tables of *pairs* instead, whose
#    price depends on the code that the frame before has in the same codebook: what changes in the search?
#
# [Solutions](solutions/15_search.md)
#
# ## Where this lives in the package
#
# - `tinyencodec.codec.search`: the beam, its kernel and the naive twin.
# - `tinyencodec.entropy.rate`: what a bit costs, and how codes are chosen by it.
