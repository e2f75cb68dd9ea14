# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 9 Residual vector quantisation
#
# 75 times a second, the encoder of [chapter 8](08_seanet.py) makes a short list of numbers. Each of those numbers has
# many digits. To store them in a handful of bits, the codec replaces every list by the nearest one in a fixed
# collection, and stores only *which one* it was. This chapter builds that step from nothing.
#
# **What you will see**
#
# - the plane cut into cells, and a cloud of points replaced by sixteen of them
# - k-means, written in five lines, pulling those sixteen to where the points are
# - why one collection can never be large enough, and how several in a row get around that
# - the package's quantiser, rebuilt: it gives the same codes
# - the same sentence at 1.5, 3, 6 and 12 kbit/s, to hear

# %%
import book
import matplotlib.pyplot as plt
import numpy as np
import playable

import tinyencodec

book.open_chapter()
rng = np.random.default_rng(0)

# %% tags=["remove-input"]
book.drawing("here", chapter=9)

# %% [markdown]
# ## Rounding, one number at a time
#
# *Quantising* means replacing a value by the nearest of a few allowed ones. Rounding to whole numbers is quantising.
# With four allowed values a number costs 2 bits, since two binary digits can count to four.
#
# Let us quantise speech like that. We take its samples in pairs, so that we can draw them: each pair of neighbours is
# one point in the plane. At 24 000 samples a second, speech changes little from one sample to the next. So the two
# numbers of a pair are nearly equal, and the points crowd around the diagonal.

# %%
speech = book.recording("speech")[0]
speech = speech / np.abs(speech).max()  # loudest sample at 1
pairs = speech[:len(speech) // 2 * 2].reshape(-1, 2)  # [points, 2]
pairs = pairs[np.abs(pairs).max(axis=1) > 0.01]  # leave out the pauses

levels = np.array([-0.75, -0.25, 0.25, 0.75])
# each number by itself
rounded = levels[np.abs(pairs[:, :, None] - levels).argmin(axis=2)]
book.say(f"Four levels for each number are 2 bits a number. They reach a signal-to-noise "
         f"ratio of **{book.snr(pairs, rounded):.1f} dB**.")

# %% [markdown]
# The signal-to-noise ratio, [SNR](glossary.md#signal-to-noise-ratio) for short, compares the energy of the signal with
# the energy of the error. Ten decibels are a factor of ten in energy; at 0 dB the error is as strong as the signal.
#
# In the plane, two numbers with four levels each make a grid of sixteen points.

# %%
grid = np.stack(np.meshgrid(levels, levels), axis=-1).reshape(-1, 2)  # [16, 2]


def nearest(points, entries):
    """For each point [M, 2] the number of the nearest entry [N, 2]."""
    distances = np.square(points[:, None] - entries).sum(axis=2)  # [M, N]
    return distances.argmin(axis=1)


def draw_cells(axis, points, entries, reach, title):
    """The cell of each entry as a coloured area, the points, and the entries."""
    side = np.linspace(-reach, reach, 300)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    axis.imshow(nearest(plane, entries).reshape(300, 300) % 20, cmap="tab20", alpha=0.35,
                vmin=0, vmax=19, extent=(-reach, reach, -reach, reach),
                interpolation="nearest")
    axis.plot(*points[::20].T, ".", color="#7d8590", markersize=1)
    axis.plot(*entries.T, "o", color="#c2308f", markersize=4)
    axis.set(title=title, xlabel="first number", ylabel="second number", aspect="equal",
             xlim=(-reach, reach), ylim=(-reach, reach))


# %% tags=["hide-input"]
_, axis = plt.subplots(figsize=(4.5, 4.2))
draw_cells(axis, pairs, grid, 1, "Rounding each number by itself")
axis.set(xticks=levels, yticks=levels)
book.show("grid")

# %%
used = len(np.unique(nearest(pairs[::20], grid)))
# the nearest grid point is each number rounded
assert np.allclose(grid[nearest(pairs, grid)], rounded)
book.say(f"Of 16 allowed points, {used} are nearest to any of the dots drawn. The others "
         f"are paid for and not used.")

# %% [markdown]
# ## Vectors: put the points where the sound is
#
# Nobody forces the sixteen allowed points onto a grid. A [codebook](glossary.md#codebook) is any collection of $N$
# points, its *entries*. Quantising a point means finding the nearest entry $e[n]$:
#
# $$ i = \underset{n}{\mathrm{argmin}} \; \lvert z - e[n] \rvert^2 $$
#
# ($\mathrm{argmin}$ is the $n$ that makes the expression smallest.) What is stored is the number $i$, the *code*; it
# costs $\log_2 N$ bits. To decode means to look up $e[i]$ in the same codebook. A point given by two numbers is a
# *vector* of two numbers, so all this is called [vector quantisation](glossary.md#vector-quantisation). The area in
# which entry $n$ is nearest is its [Voronoi cell](glossary.md#voronoi-cell).
#
# Where should the entries be? [k-means](glossary.md#k-means) finds good places by repeating two steps:
#
# 1. give each point to the entry that is nearest to it;
# 2. move each entry to the mean of its points.
#
# Neither step can increase the total squared error: step 1 picks the nearest by definition, and the mean is the place
# with the least mean squared distance to its points. So the error falls, round by round, until nothing moves any more.

# %%
def k_means(points, n_entries, rounds):
    """Yield the entries [n_entries, D] before the first round and after each."""
    entries = points[rng.choice(len(points), n_entries, replace=False)].copy()
    yield entries.copy()
    for _ in range(rounds):
        owner = nearest(points, entries)
        for n in np.unique(owner):
            entries[n] = points[owner == n].mean(axis=0)
        yield entries.copy()


history = list(k_means(pairs, 16, 30))
errors = [np.mean(np.square(pairs - entries[nearest(pairs, entries)]))
          for entries in history]
assert all(after <= before for before, after in zip(errors, errors[1:]))  # never worse

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(10, 3.6))
for axis, done in zip(axes, (0, 2, 30)):
    draw_cells(axis, pairs, history[done], 0.6, f"k-means, round {done}")
book.show("k_means")

# %% tags=["hide-input"]
plt.plot(10 * np.log10(errors), ".-")
plt.gca().set(xlabel="round", ylabel="mean squared error (dB)",
              title="k-means: the error never rises")
plt.grid(True)
book.show("k_means_error")

# %%
book.say(f"With the same 4 bits for a pair: the grid reaches "
         f"{book.snr(pairs, rounded):.1f} dB, k-means "
         f"**{book.snr(pairs, history[-1][nearest(pairs, history[-1])]):.1f} dB**.")
assert book.snr(pairs,
                history[-1][nearest(pairs, history[-1])]) > book.snr(pairs, rounded) + 3

# %% [markdown]
# The entries have moved to where the points are: along the diagonal, and densely near silence. No bits are spent on
# pairs that never occur. You can hear the difference; both versions below cost 48 kbit/s.

# %%
every_pair = speech[:len(speech) // 2 * 2].reshape(-1, 2)
by_grid = grid[nearest(every_pair, grid)].ravel()
by_means = history[-1][nearest(every_pair, history[-1])].ravel()
book.play(24_000, original=0.5 * speech, four_levels=0.5 * by_grid,
          sixteen_pairs=0.5 * by_means)

# %% [markdown]
# Try it yourself with eight entries. Drag them to where you think they should be, and see how many decibels you reach.
# Then let k-means continue from there.

# %%
some = pairs[::len(pairs) // 500]
guess = [[x, y] for x in (-0.45, -0.15, 0.15, 0.45) for y in (-0.3, 0.3)]
book.playable(playable.voronoi("Where should eight entries be?", some, guess, 0.6))

# %% [markdown]
# ## Why one codebook is never enough
#
# The codec's latent vectors have not two numbers but more than a hundred, and such a vector needs many bits. With $b$
# bits the codebook has $2^b$ entries, all of which must be learnt, stored and searched.

# %%
model = tinyencodec.load_model()
config = model.config
bits = 6000 // model.frame_rate
book.say(f"`{model.name}` has {model.frame_rate} latent vectors a second, of "
         f"{config.hidden_size} numbers each. At 6 kbit/s there are {bits} bits for one "
         f"of them. A single codebook would need 2^{bits} = {2.0**bits:.1e} entries.")

# %% [markdown]
# The way out is to quantise *again*. The first codebook leaves an error: the vector from the entry to the point. It is
# called the [residual](glossary.md#residual), what remains. A second codebook, made for residuals, quantises that; a
# third quantises what the second leaves over; and so on. The decoder adds up the entries. This is
# [residual vector quantisation](glossary.md#residual-vector-quantisation), RVQ:
#
# $$ r_1 = z, \qquad i_k = \underset{n}{\mathrm{argmin}} \; \lvert r_k - e_k[n] \rvert^2, \qquad
#    r_{k+1} = r_k - e_k[i_k], \qquad \hat z = \sum_k e_k[i_k] $$

# %% tags=["remove-input"]
book.drawing("residual_vectors")

# %% [markdown]
# First in the plane, with two codebooks of sixteen.

# %%
first = history[-1]
residual = pairs - first[nearest(pairs, first)]
*_, second = k_means(residual, 16, 30)
sums = (first[:, None] + second).reshape(-1, 2)  # all 256 possible sums

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(10, 3.6))
draw_cells(axes[0], pairs, first, 0.6, "codebook 1 on the points")
draw_cells(axes[1], residual, second, 0.6, "codebook 2 on the residuals")
axes[2].plot(*pairs[::20].T, ".", color="#7d8590", markersize=1)
axes[2].plot(*sums.T, ".", color="#c2308f", markersize=4)
axes[2].set(title="256 sums of two entries", xlabel="first number",
            ylabel="second number", aspect="equal", xlim=(-0.6, 0.6), ylim=(-0.6, 0.6))
book.show("two_stages")

# %% [markdown]
# The residuals (middle, drawn to the same scale) fill a much smaller area, so sixteen entries cover it more finely.
# Thirty-two stored entries name 256 places. The price: a single codebook of 256 could put every entry exactly where it
# is wanted, while here all sixteen cells must share one pattern of refinements.

# %%
twice = first[nearest(pairs, first)] + second[nearest(residual, second)]
*_, large = k_means(pairs[::5], 256, 10)  # fewer points and rounds, to save time
book.say("| | bits per pair | entries stored | SNR |\n|---|---|---|---|\n"
         f"| one codebook of 16 | 4 | 16 | {book.snr(pairs, pairs - residual):.1f} dB "
         f"|\n| two of 16, in a row | 8 | 32 | {book.snr(pairs, twice):.1f} dB |\n| one "
         f"of 256 | 8 | 256 | {book.snr(pairs, large[nearest(pairs, large)]):.1f} dB |")
reached = [book.snr(pairs, y)
           for y in (pairs - residual, twice, large[nearest(pairs, large)])]
assert reached == sorted(reached)

# %% [markdown]
# RVQ lies in between: not as good as the large codebook, but an eighth of its size. With the 80 bits of 6 kbit/s there
# is no choice any more: eight codebooks of 1024 entries are possible, one of $2^{80}$ is not.
#
# ## The codec's own codebooks
#
# The same few lines work on real latents. One trick makes them fast. Multiplied out,
# $\lvert r - e \rvert^2 = \lvert r \rvert^2 - 2\, r \cdot e + \lvert e \rvert^2$, where $r \cdot e$ is the sum of
# products, number by number. The first term is the same for all entries, so the nearest entry is the one with the
# *largest* $r \cdot e - \lvert e \rvert^2 / 2$. And all these sums of products together are a single matrix product.

# %%
def rvq_encode(z, codebooks):
    """Codes [K, F] of latents [F, D]."""
    codes, residual = [], z.astype(np.float64)
    for entries in codebooks:
        scores = residual @ entries.T - np.square(entries).sum(axis=1) / 2  # [F, N]
        codes.append(scores.argmax(axis=1))
        residual = residual - entries[codes[-1]]
    return np.array(codes)


wav = book.recording("speech")
z = model.encoder(np.ascontiguousarray(wav.T))  # [T, 1] -> [F, D]
ours, theirs = rvq_encode(z, model.quantizer.codebooks), model.quantizer.encode(z)
agreement = np.mean(ours == theirs)
assert agreement > 0.999
book.say(f"{theirs.size} codes, of which {100 * agreement:.2f} % are those of the "
         f"package. (They can differ only where two entries are equally near, to the "
         f"last digits: there the rounding of a sum decides.)")

# %% [markdown]
# And here are the codes. Each column is one frame of 13.3 ms, each row a codebook, each colour one of 1024 codes. Codes
# are names, not sizes: 17 and 18 need not be similar. The marks above and below show the frame that we follow.

# %% tags=["hide-input"]
plt.figure(figsize=(8, 3))
colour_of = np.random.default_rng(0).random((1024, 3))  # any: codes have no order
plt.imshow(colour_of[theirs[:8]], interpolation="nearest", origin="upper",
           extent=(0, len(z) / model.frame_rate, 8.5, 0.5))
for edge, mark in ((0.5, 7), (8.5, 6)):  # triangles, outside the picture
    plt.plot((book.FRAME + 0.5) / 75, edge, marker=mark, color="C3", clip_on=False)
plt.gca().set(xlabel="time (s)", ylabel="codebook", ylim=(8.5, 0.5),
              title="The sentence as stored at 6 kbit/s; a colour for each code\n")
book.show("codes")

# %% [markdown]
# Codebook by codebook, this is how the latent of that frame is described:

# %%
table = ["| codebook | code | length of what is left |", "|---|---|---|"]
residual = z[book.FRAME].astype(np.float64)
table.append(f"| none | | {np.linalg.norm(residual):.2f} |")
for k in range(8):
    residual = residual - model.quantizer.codebooks[k][theirs[k, book.FRAME]]
    table.append(f"| {k + 1} | {theirs[k, book.FRAME]} | {np.linalg.norm(residual):.2f} "
                 f"|")
book.say("\n".join(table))
book.say(f"So frame {book.FRAME} is stored as "
         f"**{', '.join(map(str, theirs[:8, book.FRAME]))}**: 8 codes of 10 bits, 80 "
         f"bits.")

# %% [markdown]
# ## What each stage leaves over
#
# After each codebook we measure how much of the latents' energy (the sum of their squares) is left over.

# %%
energy, residual = [np.sum(z.astype(float)**2)], z.copy()
for entries, code in zip(model.quantizer.codebooks, theirs):
    residual = residual - entries[code]
    energy.append(np.sum(residual.astype(float)**2))
left = np.array(energy) / energy[0]
assert (np.diff(left) < 0).all()  # each codebook helps

# %% tags=["hide-input"]
plt.plot(10 * np.log10(left), "o-")
plt.gca().set(xlabel="codebooks used", ylabel="energy left over (dB)",
              title="Each codebook takes its part of the residual")
plt.grid(True)
plt.xlim(-0.5, len(energy) + 0.5)
for n in (2, 4, 8, 16):
    plt.annotate(f"{n * 10 * model.frame_rate / 1000:g} kbit/s",
                 (n, 10 * np.log10(left[n])), xytext=(5, 5), textcoords="offset points")
book.show("residual_energy")

# %%
book.say(f"The first codebook takes away {100 * (1 - left[1]):.0f} % of the energy; "
         f"after eight, {100 * left[8]:.1f} % is left, after sixteen "
         f"{100 * left[16]:.2f} %.")

# %% [markdown]
# The codebooks come in order of importance, and each is chosen without looking at those after it. So one encoding
# holds all bitrates: to go from 12 to 1.5 kbit/s, *drop rows*. Nothing has to be encoded again.

# %%
[best], [lowest] = model.encode(wav, bandwidth=12.0), model.encode(wav, bandwidth=1.5)
assert np.array_equal(best.codes[:2], lowest.codes)
assert [model.codebooks_for(rate) for rate in (1.5, 3.0, 6.0, 12.0)] == [2, 4, 8, 16]

# %% [markdown]
# ## The same clip from 1.5 to 12 kbit/s
#
# In training, the number of codebooks is drawn anew for every batch ([chapter 14](14_training.py)). So the decoder has
# learnt to make the best of few codes as well as of many.

# %%
rates = (1.5, 3.0, 6.0, 12.0)
sounds = {f"{rate:g} kbit/s": model.decode(model.encode(wav, rate), wav.shape[1])[0]
          for rate in rates}
book.play(24_000, original_sentence=wav, **sounds)

# %% tags=["hide-input"]
_, axes = plt.subplots(2, 3, figsize=(9, 5), sharex=True, sharey=True)
for axis, (name, y) in zip(axes.flat, {"original": wav[0], **sounds}.items()):
    level, extent = book.spectrogram(y, 24_000)
    image = axis.imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=name, xlabel="time (s)", ylabel="frequency (kHz)")
    axis.label_outer()
axes[0, 2].xaxis.set_tick_params(labelbottom=True)
axes[1, 2].axis("off")
plt.colorbar(image, ax=axes, label="level (dB)")
book.show("bitrates")

# %%
snrs = [book.snr(wav[0], y) for y in sounds.values()]
unquantised = book.snr(wav[0], model.decode_latents(z.T, length=wav.shape[1])[0])

# %% tags=["hide-input"]
plt.figure(figsize=(6, 3))
plt.semilogx([1.5, 3, 6, 12], snrs, "o-", label="quantised")
plt.axhline(unquantised, color="C1", linestyle="--", label="no quantiser")
plt.legend(loc="lower right")
plt.xticks([1.5, 3, 6, 12], ["1.5", "3", "6", "12"])
plt.minorticks_off()
plt.gca().set(xlabel="bitrate (kbit/s)", ylabel="SNR (dB)",
              title="More codebooks, less error")
plt.grid(True)
book.show("snr")

# %%
book.claim(snrs == sorted(snrs), "more bits bring the copy nearer to the original")
book.claim(snrs[-1] < unquantised < snrs[-1] + 2,
           "at 12 kbit/s the quantiser costs little")
book.say(f"From 1.5 to 12 kbit/s the SNR of the waveform rises from {snrs[0]:.1f} to "
         f"{snrs[-1]:.1f} dB. Without any quantiser it is {unquantised:.1f} dB. So at 12 "
         f"kbit/s it is no longer the quantiser that limits the sound, but the encoder "
         f"and the decoder.")

# %% [markdown]
# Which codebook matters most? Mute one of the eight, and the decoder adds up the other seven.

# %%
def without(k):
    """The codes of 6 kbit/s, decoded without codebook k: the first 3 s."""
    tables = model.quantizer.codebooks
    latents = sum(tables[i][theirs[i]] for i in range(8) if i != k)
    return model.decode_latents(latents.T, length=wav.shape[1])[0, :72_000]


versions = []
for k in (8, *range(8)):
    y, name = without(k), "all" if k == 8 else f"without {k + 1}"
    note = f"SNR {book.snr(wav[0, :72_000], y):.1f} dB"
    versions.append(playable.version(name, note, y, 24_000))
book.playable(playable.switcher("Mute one codebook", versions, "buttons",
                                "muted codebook"))

# %% [markdown]
# ## In the paper, and elsewhere
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.2, uses this quantiser, which comes from
# [SoundStream](https://arxiv.org/abs/2107.03312): codebooks of 1024 entries, and at 24 kHz up to 32 of them, which
# makes 24 kbit/s. Our small model has 16. The paper's listeners gave EnCodec 67 of 100 points for clean speech at 3
# kbit/s and 83 at 6 (Table 1; [Results](results.md#what-listeners-said-of-encodec) has the rest). Nobody has yet asked
# listeners about our small model. The search is greedy in the paper as it is here. Keeping several beginnings at each
# stage finds better codes for the same decoder; exercise 3 and [chapter 15](15_search.py) are about that.
#
# ## Summary
#
# - Quantising a vector means naming the nearest entry of a codebook; $N$ entries cost $\log_2 N$ bits.
# - k-means places entries by two steps that never make the error larger.
# - A single codebook for 80 bits would need $2^{80}$ entries. Residual quantisation chains small ones: each codes what
#   the ones before left over, and the decoder adds the entries up.
# - The search is greedy, codebook by codebook. So the first rows of a fine encoding *are* the coarse encoding.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/09_rvq.md), each behind a click.
#
# 1. *Easy.* Decode with codebooks 2 to 8 but without the first. How much energy do the latents have then, as a share of
#    the energy of `z`, and what do you hear?

# %%
share = ...
book.check("9.1", share)

# %% [markdown]
# 2. *Medium.* For pairs of samples, compare one codebook of $2^b$ entries with $b / 2$ codebooks of 4 in a row, for
#    $b = 2, 4, 6, 8$. Which one wins? How many entries must each of the two store?

# %%
def stored(b):
    """Bits -> (entries of the one codebook, entries of the several together)"""
    return ...


book.check("9.2", stored)

# %% [markdown]
# 3. *Harder.* The greedy search is not the best one. Keep the 8 best beginnings at each stage instead of one (a *beam
#    search*) and measure how many decibels that gains on the latents at 6 kbit/s. What did it cost?

# %%
def beam_search(z, codebooks, width):
    """Latents [F, D], codebooks [K, N, D] -> codes [K, F], by `width` beginnings"""
    return ...


book.check("9.3", beam_search)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.codec.rvq`: this chapter's `rvq_encode`, in blocks that fit the processor's cache, and the sum that
#   decodes.
# - `tinyencodec.kernels.gemm`: the matrix product that scores all entries.
# - `tinyencodec.train.quantizer`: k-means and the moving averages by which codebooks follow a learning encoder.
# - `tinyencodec.ecdc.bits`: how ten-bit codes become bytes, in [chapter 11](11_bits_and_files.py).
