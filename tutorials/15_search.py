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
# looks back. That is quick, and it is what EnCodec does. But a decoder adds up whatever entries it is told to. So an
# encoder is free to look for better ones: the same decoder, the same file format, the same number of bits, and less
# error.
#
# **What you will see**
#
# - a point that the greedy choice misses and the second nearest entry hits
# - beam search, which keeps several choices alive, as a tree
# - how much error that saves, with up to sixteen choices kept
# - what a bit is worth: choosing codes by error *and* bits, and the curve that results
# - the same sentence three times, to hear: with about the same number of bytes, and with fewer

# %%
import book
import matplotlib.pyplot as plt
import numpy as np

import tinyencodec
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.entropy.rate import WEIGHT, RateSearch, bits_of
from tinyencodec.entropy.tables import load_tables, table_cdf
from tinyencodec.system.model_files import TABLES

book.open_chapter()
model = tinyencodec.load_model()
wav = book.recording("speech")
z = np.ascontiguousarray(model.latents(wav).T)  # [D, F] -> [F, D]
books = model.quantizer.codebooks[:8]  # 6 kbit/s

# %% tags=["remove-input"]
book.drawing("here", chapter=15)

# %% [markdown]
# ## When the nearest is not the best
#
# Take two codebooks of two entries each, in the plane, and a point to be coded. The greedy choice begins with the
# nearer entry of the first codebook. But nothing in the second codebook fits what is then left. The other entry is
# further from the point, but what it leaves is exactly an entry of the second codebook.

# %%
first = np.array([[4, 0], [0, 5]], np.float32)
second = np.array([[0, 0], [3, -2]], np.float32)
point = np.array([[3, 3]], np.float32)
tiny = ResidualVectorQuantizer([first, second])
paths = {"greedy": tiny.encode(point)[:, 0],
         "two choices kept": tiny.encode(point, search=2)[:, 0]}
assert paths["greedy"].tolist() == [0, 0]
assert paths["two choices kept"].tolist() == [1, 1]

# %% tags=["hide-input"]
plt.figure(figsize=(7, 4.2))
for i, (name, (a, b)) in enumerate(paths.items()):
    steps = np.array([[0, 0], first[a], first[a] + second[b]])
    away = np.linalg.norm(point - steps[2])
    plt.plot(*steps.T, "o-", color=f"C{i + 1}", label=f"{name}: {away:.2f} away")
plt.plot(*point.T, "*", color="#c2308f", markersize=14, label="the point")
plt.plot(*first.T, "s", color="#7d8590", markersize=11, fillstyle="none",
         label="first codebook")
plt.gca().set(xlabel="first number", ylabel="second number",
              title="Begin with the second nearest entry", aspect="equal")
plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
book.show("second_choice")

# %% [markdown]
# ## A beam
#
# Trying all choices is out of the question: eight codebooks of 1024 entries make $2^{80}$. [Beam
# search](glossary.md#beam-search) keeps the $B$ best choices of the first $k$ codes, extends each by every entry of the
# next codebook, and keeps the $B$ best of those. "Best" means the least error so far. If a choice has left $r$, and $e$
# is an entry,
#
# $$ \tfrac12 |r - e|^2 = \tfrac12 |r|^2 - \left(r \cdot e - \tfrac12 |e|^2\right), $$
#
# so the errors of all extensions come from one matrix product, as in chapter 9. Here are the frame that we follow, and
# the frame that gains most from six choices.

# %%
def beam(frame, books, width):
    """For each codebook the kept choices, best first: (error, parent, codes) of each."""
    kept, levels = [(np.square(frame).sum() / 2, 0, ())], []
    for entries in books:
        half_norms = np.square(entries).sum(axis=1) / 2
        costs = []  # [B, N]
        for cost, _, codes in kept:
            rest = frame - sum(book[i] for book, i in zip(books, codes))
            costs.append(cost - (entries @ rest - half_norms))
        costs = np.array(costs)
        best = [np.unravel_index(i, costs.shape)
                for i in np.argsort(costs, axis=None)[:width]]
        kept = [(costs[row, n], row, (*kept[row][2], int(n))) for row, n in best]
        levels.append(kept)
    return levels


def errors(codes):
    """The squared error of each frame."""
    return np.square(z.astype(float) - model.quantizer.decode(codes)).sum(axis=1)


greedy_codes = model.quantizer.encode(z, 8)
gains = errors(greedy_codes) - errors(model.quantizer.encode(z, 8, 6))
frames = (book.FRAME, int(gains.argmax()))
for frame in frames:
    [last] = beam(z[frame], books, 1)[-1]
    assert last[2] == tuple(greedy_codes[:, frame])

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for axis, frame in zip(axes, frames):
    start = np.square(z[frame]).sum() / 2
    line = np.array([start, *(kept[0][0] for kept in beam(z[frame], books, 1))])
    levels = beam(z[frame], books, 6)
    winner = levels[-1][0][2]
    for k, kept in enumerate(levels):
        for cost, parent, codes in kept:
            before = levels[k - 1][parent][0] if k else start
            won = codes == winner[:k + 1]
            axis.plot([k, k + 1], 100 * np.array([before, cost]) / line[k:k + 2],
                      color="C2" if won else "#7d8590", lw=2.5 if won else 0.7,
                      zorder=3 if won else 1)
    axis.plot(100 * line / line, "o--", color="C1", label="greedy")
    axis.plot([], [], color="C2", lw=2.5, label="the choice that wins")
    axis.plot([], [], color="#7d8590", lw=0.7, label="others that were kept")
    axis.set(xlabel="codebooks", title=f"Six choices kept for frame {frame}")
axes[0].set_ylabel("error (% of the greedy one)")
axes[0].legend()
book.show("tree")

# %% [markdown]
# The winner need not be the best on the way. Plain beam search does not even promise to be as good as the greedy
# choice: that one may drop out of the $B$, though it would have won in the end. The package always keeps it as one of
# the $B$, so a frame can only gain. `search=1` is the greedy algorithm, code for code.

# %%
def decoded(codes):
    return model.decode([tinyencodec.EncodedFrame(codes, None)], wav.shape[1])


widths = [1, 2, 4, 8, 16]
searched = {width: model.quantizer.encode(z, 8, width) for width in widths}
assert np.array_equal(searched[1], greedy_codes)
for width in widths[1:]:  # never worse, but for the rounding of these sums
    assert (errors(searched[width]) <= errors(greedy_codes) * (1 + 1e-6)).all()
means = [errors(searched[width]).mean() for width in widths]
ratios = [book.snr(wav, decoded(searched[width])) for width in widths]
book.claim(np.all(np.diff(means) < 0), "the more choices are kept, the less error")
book.claim(ratios[3] > ratios[0], "eight choices are nearer to the original than one")

# %% tags=["hide-input"]
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.semilogx(widths, 100 * np.array(means) / means[0], "o-", base=2)
left.set(xlabel="choices kept", ylabel="error (% of the greedy one)",
         title="The latents")
right.semilogx(widths, ratios, "o-", base=2, color="C1")
right.set(xlabel="choices kept", ylabel="SNR (dB)", title="The decoded sentence")
for axis in (left, right):
    axis.set_xticks(widths, widths)
    axis.grid(True)
book.show("widths")

# %%
different = 100 * np.mean(searched[8] != greedy_codes)
book.say(f"With eight choices, {different:.0f} % of the codes are different, "
         f"{100 * (1 - means[3] / means[0]):.0f} % of the latents' squared error is "
         f"gone, and the SNR changes by **{ratios[3] - ratios[0]:+.2f} dB**. Not one bit "
         f"more is sent.")

# %% [markdown]
# ## What a bit is worth
#
# In an entropy-coded file codes have different prices: a frequent one costs few bits, a surprising one many
# ([chapter 12](12_arithmetic_coding.py)). Then the nearest entry can be a bad bargain, if another one is hardly further
# away and saves five bits. So let the search count both. It looks for the least
#
# $$ \tfrac12 |\text{error}|^2 + \text{price} \cdot \text{bits}. $$
#
# A price of 0 gives the search above. The higher the price, the smaller the file, and the larger the error. This is
# [rate–distortion](glossary.md#rate-and-distortion) optimisation, and the sum is its *Lagrangian*. Only the encoder
# knows about it: the decoder gets codes like any others.

# %%
# of each entry of codebook 8
bits = bits_of(table_cdf(load_tables(model.folder / TABLES)))[7]
rest = (z - model.quantizer.decode(greedy_codes[:7]))[book.FRAME]
half_squares = np.square(rest - books[7]).sum(axis=1) / 2
prices = np.array([0, 2]) * RateSearch(model.quantizer, 8, 8, 1.0).price(z)
bargains = [np.argmin(half_squares + price * bits) for price in prices]
assert bargains[0] == greedy_codes[7, book.FRAME]
# the higher the price, the fewer bits and the more error
assert np.all(np.diff(bits[bargains]) <= 0)
assert np.all(np.diff(half_squares[bargains]) >= 0)

# %% tags=["hide-input"]
plt.figure(figsize=(8, 3.6))
plt.plot(bits, half_squares, ".", color="#7d8590", alpha=0.5, markersize=4)
for i, (n, price) in enumerate(zip(bargains, prices)):
    plt.plot(bits[n], half_squares[n], "o", color=f"C{i}", markersize=9,
             label=f"price {price:.2f}")
plt.gca().set(xlabel="bits, by the tables", ylabel="half the squared error",
              title=f"All entries of codebook 8, for frame {book.FRAME}",
              ylim=(0.8 * half_squares.min(), 2 * half_squares.min()))
plt.legend()
book.show("bargain")

# %% [markdown]
# What should a bit cost? An error that is large in a soft recording is small in a loud one. So the package sets the
# price by the error that the greedy codes leave. At a *rate weight* of 1, a bit costs as much as the greedy codes'
# error divided by their bits, 80 in each frame, both as means over a block of four seconds. The language model of
# [chapter 13](13_language_model.py) knows the cost of every code of a frame before any of them is chosen, because it
# guesses all codebooks at once. So with the language model, too, each frame is a search of its own. Once it is done,
# the model can go on to the next frame. Different weights give the points of a curve.

# %%
latents = np.ascontiguousarray(z.T)
curves = {}  # (bytes, mean error, codes) of the greedy choice and of each weight
for kind, weights in (("table", (0, 0.5, 1, 2, 4, 8)), ("lm", (0, WEIGHT, 3 * WEIGHT))):
    coder = load_coder(kind, model)
    [data] = coder.encode([greedy_codes])
    curves[kind] = [(len(data), errors(greedy_codes).mean(), greedy_codes)]
    for weight in weights:
        search = RateSearch(model.quantizer, 8, 8, weight)
        [(codes, data)] = coder.choose([latents], search)
        assert np.array_equal(coder.decode([(data, len(z))], 8)[0], codes)
        curves[kind].append((len(data), errors(codes).mean(), codes))
    sizes = [size for size, _, _ in curves[kind][1:]]
    book.claim(sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0],
               "the higher the weight, the smaller the file")

# %% tags=["hide-input"]
for i, (kind, points) in enumerate(curves.items()):
    sizes, left, _ = zip(*points)
    name = {"table": "tables", "lm": "language model"}[kind]
    plt.plot(sizes[1:], left[1:], "o-", color=f"C{i}",
             label=f"{name}, weights from 0 up")
    plt.plot(sizes[:1], left[:1], "*", color=f"C{i}", markersize=13,
             label=f"{name}, greedy")
plt.gca().set(xlabel="bytes of the sentence", ylabel="mean squared error of a frame",
              title="Rate and distortion, eight choices kept")
plt.legend()
book.show("curve")

# %%
names = ("greedy", "search, weight 0", f"search, weight {WEIGHT:g}",
         f"search, weight {3 * WEIGHT:g}")
table = ["| with the language model | bytes | mean squared error | SNR |",
         "|---|---|---|---|"]
for name, (size, error, codes) in zip(names, curves["lm"]):
    table.append(f"| {name} | {size} | {error:.1f} "
                 f"| {book.snr(wav, decoded(codes)):.2f} dB |")
book.say("\n".join(table))
greedy, plain, cheaper = curves["lm"][:3]
book.claim(cheaper[0] < 0.97 * greedy[0] and cheaper[1] < greedy[1],
           "counting bits makes a smaller file than the greedy choice, with less error")
sounds = {f"{name}, {size} bytes": decoded(codes) for name, (size, _, codes)
          in zip(("greedy", "search", "search by bits too"), (greedy, plain, cheaper))}
book.play(24_000, original_sentence=wav, **sounds)

# %% [markdown]
# In Python and on the command line:
#
# ```
# model.encode(wav, 6.0, search=8)
# tinyencodec.compress(model, wav, entropy="lm", search=8, rate_weight=2)
# tinyencodec --search 8 --lm --rate-weight 2 song.mp3
# ```
#
# ## In the paper, and elsewhere
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.2, and its released code are greedy: each codebook takes the
# entry nearest to the residual. Beam search for sums of entries of several codebooks is older than EnCodec: [Babenko
# and Lempitsky (2014)](https://doi.org/10.1109/CVPR.2014.124) use it to compress descriptors of images. ["Improving
# Test-Time Performance of RVQ-based Neural Codecs"](https://arxiv.org/abs/2509.19186) (2025) uses it in neural codecs
# that are already trained, and reports less quantisation error and better sound. To count the bits as well is called
# *entropy-constrained* vector quantisation (Chou, Lookabaugh and Gray, IEEE Trans. ASSP 37, 1989). The released code
# does not do it. What the search gains on many recordings is on the page with [the results](results.md#search).
#
# ## Summary
#
# - A greedy quantiser takes the nearest entry of each codebook, and may leave an error that no later codebook can
#   repair.
# - Beam search keeps the best $B$ choices from codebook to codebook. If the greedy one is always among them, it never
#   loses.
# - If the error and the bits, at a price, are added up, files become smaller. The price chooses the point on the curve
#   of rate and distortion.
# - Decoder, weights and file format stay as they are.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/15_search.md), each behind a click.
#
# 1. *Easy.* Eight choices take off some of the error. What share of that do two choices take off already?

# %%
share = ...  # 0 to 1
book.check("15.1", share)

# %% [markdown]
# 2. *Medium.* Show that plain beam search can lose: find a frame in which `beam` with two choices ends with a larger
#    error than with one.

# %%
losing_frame = ...
book.check("15.2", losing_frame)

# %% [markdown]
# 3. *Harder.* Let the bits of a code depend on the code of the frame before. Then the frames can no longer be coded one
#    by one: a cheap code now may make the next frame expensive. With one codebook there is an exact answer. Find the
#    codes for which the sum of all errors and bits is least.

# %%
def cheapest_codes(errors, bits):
    """errors [F, N], bits [N before, N now] -> codes [F]; frame 0 costs no bits"""
    return ...


book.check("15.3", cheapest_codes)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.codec.beam`: the beam, its kernel and the naive twin.
# - `tinyencodec.entropy.rate`: what a bit costs, and how codes are chosen by it.
