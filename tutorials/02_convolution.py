# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2 Convolution
#
# Nearly all that a neural codec computes is one operation: slide a short pattern along a signal and note, at each
# place, how well it fits. This chapter builds that operation five times. The first takes many seconds, the last about a
# millisecond; it is the one loop that the whole package runs on.
#
# **What you will see**
#
# - what a convolution does to a voice: you will hear two of them
# - the definition as four nested loops, and how slow that is
# - the same as a product of two matrices (*im2col*), and why one of them never has to be built
# - Numba, which turns Python loops into machine code
# - a figure of times, from the loop to the package's kernel
# - why the package computes every sum in the same order, and what happens to the last digits otherwise

# %%
import time

import book
import numba
import numpy as np
from matplotlib import pyplot as plt
from numpy.lib.stride_tricks import sliding_window_view

import tinyencodec
from tinyencodec.kernels.gemm import gemm, pack, unpack
from tinyencodec.layers.conv import Conv1d

book.open_chapter()
rate = 24_000  # Hz
wav = book.recording("speech", rate)[0]

# %% tags=["remove-input"]
book.drawing("here", chapter=2)

# %% [markdown]
# ## A pattern that slides
#
# Take a short list of numbers $w$, the [kernel](glossary.md#kernel), with $k$ entries. Lay it over the signal $x$,
# multiply the numbers that lie on top of each other, and add up the products. That is one output. Move the kernel by
# one sample for the next output. This is a [convolution](glossary.md#convolution):
#
# $$ y_t = \sum_{j=0}^{k-1} x_{t+j}\, w_j $$
#
# (Mathematicians turn the kernel around first and call this form a correlation. Since a network learns its kernels, the
# direction does not matter, and the field says convolution.)

# %% tags=["remove-input"]
book.drawing("kernel")

# %% [markdown]
# Two kernels by hand. One is $1/13$, 13 times over: each output is the mean of 13 neighbours. The other is $(-1, 1)$:
# each output is the difference of two neighbours.

# %%
def convolve(x, w):
    """y[t] = sum of x[t + j] w[j], for each t where the kernel lies inside the signal."""
    return np.array([np.dot(x[t:t + len(w)], w) for t in range(len(x) - len(w) + 1)])


mean, difference = np.full(13, 1 / 13), np.array([-1.0, 1.0])
smooth, edges = convolve(wav, mean), convolve(wav, difference)
assert np.allclose(edges, np.diff(wav)) and len(smooth) == len(wav) - 12
part = slice(320 * book.FRAME, 320 * book.FRAME + 720)  # the frame we follow, and more
ms = 1000 * np.arange(part.start, part.stop) / rate

# %% tags=["hide-input"]
plt.plot(ms, wav[part], alpha=0.5, label="signal")
plt.plot(ms, smooth[part.start - 6:part.stop - 6], label="mean of 13, centred")
plt.plot(ms, edges[part], label="difference")
plt.gca().set(title="One signal, two kernels", xlabel="time (ms)", ylabel="sample value",
              ylim=(-0.4, 0.5))
plt.legend(ncols=3)
book.show("two_kernels")

# %% [markdown]
# The mean leaves the slow waves and removes the ripples; the difference does the opposite. In the words of [chapter
# 1](01_sound_as_numbers.py), one keeps the low frequencies and the other the high ones. We can compute how much of each
# frequency a kernel lets through: that is the kernel's own spectrum. And we can hear it. (The difference is made as
# loud as the original.)

# %%
frequency = np.fft.rfftfreq(1024, 1 / rate) / 1000  # kHz

# %% tags=["hide-input"]
for name, kernel in {"mean of 13": mean, "difference": difference}.items():
    plt.plot(frequency, book.decibels(np.fft.rfft(kernel, 1024), floor=-50), label=name)
plt.gca().set(title="What the two kernels let through", xlabel="frequency (kHz)",
              ylabel="gain (dB)", ylim=(-50, 20))
plt.legend(ncols=2)
book.show("responses")

# %%
book.play(rate, original=wav, mean_of_13=smooth, difference=edges * np.std(wav)
          / np.std(edges))

# %% [markdown]
# A trained kernel is such a filter too. Here are eight of the sixteen in the first layer of this package's codec, each
# 7 samples long. The first two still show how this codec began: as a classical transform, in which every number travels
# as a pair, $v$ and $-v$ ([chapter 14](14_training.py) tells why). One passes on the present sample, the other its
# negative. The others began small and random, and training made edges and waves of them. Nobody designed those.

# %%
first = tinyencodec.load_model().encoder.layers[0]
kernels = unpack(first.matrix).T  # [C_out, 7], since there is one input channel
assert kernels.shape == (16, 7)
pair, learnt = kernels[:2], kernels[2:]
# one tap each
assert (np.abs(pair[:, -1]) > 100 * np.abs(pair[:, :-1]).max(axis=1)).all()
assert np.allclose(pair[0], -pair[1], atol=0.02)  # v and -v
assert (np.abs(learnt[:, -1]) < np.abs(learnt[:, :-1]).max(axis=1)).mean() > 0.8

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 4, figsize=(8, 3.4), sharex=True, sharey=True)
for o, axis in enumerate(axes.flat):
    axis.plot(kernels[o], "o-", markersize=3)
    axis.axhline(0, color="0.6", linewidth=0.5)
    axis.set_title(f"output channel {o}", fontsize=9)
for axis in axes[1]:
    axis.set_xlabel("sample of the kernel", fontsize=8)
for axis in axes[:, 0]:
    axis.set_ylabel("weight")
book.show("learnt_kernels")

# %% [markdown]
# ## Channels, and the loop
#
# One kernel gives one view of the signal. A layer of a network has many kernels, and so gives many signals side by
# side, its output [channels](glossary.md#channel). The next layer takes all of them as its input: each of its kernels
# has one row of weights per input channel, and adds up over channels as well as over time. With $C$ input channels and
# a bias $b_o$, a constant that is added to each output of channel $o$:
#
# $$ y_{t,o} = b_o + \sum_{j=0}^{k-1} \sum_{c=0}^{C-1} x_{t+j,\,c}\; w_{o,c,j} $$
#
# Read it as four nested loops and you have a program. Inside the package, signals are
# [time-major](glossary.md#time-major), `[T, C]`: all channels of one moment side by side. We will soon see what that is
# good for. Weights are stored `[C_out, C_in, kernel]`, as in PyTorch.

# %%
def loops(x, w, b):
    """[T, C_in], [C_out, C_in, k], [C_out] -> [T - k + 1, C_out]"""
    c_out, c_in, k = w.shape
    y = np.empty((len(x) - k + 1, c_out), np.float32)
    for t in range(len(y)):
        for o in range(c_out):
            total = b[o]
            for j in range(k):
                for c in range(c_in):
                    total += x[t + j, c] * w[o, c, j]
            y[t, o] = total
    return y


rng = np.random.default_rng(0)
c_in, c_out, k = 64, 64, 7
x = rng.standard_normal((3000 + k - 1, c_in), dtype=np.float32)  # signals of 64 channels
w = rng.standard_normal((c_out, c_in, k), dtype=np.float32) / 20
b = rng.standard_normal(c_out, dtype=np.float32)
slow = loops(x[:20 + k - 1], w, b)  # 20 outputs are enough to wait for
# the package; "valid": only where the kernel lies inside
reference = Conv1d(w, b).valid(x)
assert reference.shape == (3000, c_out) and np.allclose(slow, reference[:20], atol=1e-4)
book.say(f"Each output takes {c_in * k} multiplications, and there are {c_out} × 3000 of "
         f"them: {c_in * k * c_out * 3000 / 1e6:.0f} million for this layer alone.")

# %% [markdown]
# ## One product of matrices
#
# Look at the two inner loops: a window of the signal, $k$ moments of $C$ channels each, is multiplied by the weights
# and added up. Write the window's numbers in one row and the weights of an output channel in one column. Then the two
# loops are a row times a column, and all windows and all output channels together are one product of two matrices:
#
# $$ Y = X_{\text{windows}}\, W, \qquad [T', kC] \times [kC, C_{\text{out}}] \to [T', C_{\text{out}}]. $$
#
# Copying the windows into the rows of a matrix is called [im2col](glossary.md#im2col) ("image to columns", since it was
# first done with images). It pays off, because few operations are as well tuned on every computer as the matrix
# product.

# %%
def im2col(x, w, b):
    c_out, c_in, k = w.shape
    # [T', k * C_in]
    windows = np.stack([x[t:t + k].reshape(-1) for t in range(len(x) - k + 1)])
    # the same order: moment, then channel
    matrix = w.transpose(2, 1, 0).reshape(k * c_in, c_out)
    return b + windows @ matrix


assert np.allclose(im2col(x, w, b), reference, atol=1e-4)
copied = 3000 * k * c_in
book.say(f"The windows hold {copied / x.size:.1f} times as many numbers as the signal: "
         f"each number is copied {k} times.")

# %% [markdown]
# ## The matrix that is already there
#
# Those copies are not needed. Time-major memory holds moment after moment, channel after channel: a window of $k$
# moments is *one unbroken run* of $kC$ numbers. The next window is another run that begins $C$ numbers further on. So
# the matrix of windows lies in the signal's memory already; its rows just overlap. To go through them, a product only
# needs to know how far apart rows begin, the *row step*. Below, a small signal with 2 channels and kernel 3. If the
# kernel moved by two samples at a time (a *stride*, [chapter 3](03_stride_padding_causality.py)), only the row step
# would change.

# %%
signal, channels, kernel = np.arange(9 * 2), 2, 3
windows = {stride: sliding_window_view(signal, kernel * channels)[::stride * channels]
           for stride in (1, 2)}
assert all(np.shares_memory(rows, signal) for rows in windows.values())  # no copy

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9, 3))
for axis, (stride, rows) in zip(axes, windows.items()):
    reads = np.full((len(rows), len(signal)), np.nan)
    for m, row in enumerate(rows):
        reads[m, row] = row // channels  # the moment that each number belongs to
    axis.imshow(reads, origin="upper", cmap="viridis")
    axis.set(title=f"stride {stride}: row step {stride * channels}",
             xlabel="place in memory (floats)", ylabel="row of the matrix")
    axis.set_xticks(range(0, 18, 2))
    axis.set_yticks(range(len(rows)))
book.show("rows_in_memory")

# %% [markdown]
# Each line of the picture is one window; colour is the moment in time. NumPy can be told to see memory like that:
# `sliding_window_view` returns such overlapping rows without a copy.

# %%
def strided(x, w, b):
    c_out, c_in, k = w.shape
    windows = sliding_window_view(x.reshape(-1), k * c_in)[::c_in]
    return b + windows @ w.transpose(2, 1, 0).reshape(k * c_in, c_out)


assert np.allclose(strided(x, w, b), reference, atol=1e-4)

# %% [markdown]
# ## Numba
#
# Python loops are slow because the interpreter decides anew at each step what `+` means for these two objects. Numba is
# a [just-in-time compiler](glossary.md#just-in-time-compiler): at the first call it looks at the types of the arguments
# and makes machine code for them. We only change the order of our loops: with the output channel innermost,
# neighbouring steps read neighbouring numbers, and the processor can do several at once.

# %%
@numba.njit
def compiled(x, matrix, b, k):
    """Loops over [T, C_in] and [k * C_in, C_out], compiled at the first call."""
    c_in, c_out = x.shape[1], len(b)
    y = np.empty((len(x) - k + 1, c_out), np.float32)
    for t in range(len(y)):
        y[t] = b
        for j in range(k):
            for c in range(c_in):
                for o in range(c_out):
                    y[t, o] += x[t + j, c] * matrix[j * c_in + c, o]
    return y


matrix = np.ascontiguousarray(w.transpose(2, 1, 0).reshape(k * c_in, c_out))
assert np.allclose(compiled(x, matrix, b, k), reference, atol=1e-4)

# %% [markdown]
# ## A tile of sums
#
# The compiled loop fetches an output from memory, adds one product, and puts it back, thousands of times. A processor
# can multiply far more often than it can fetch. The remedy is to fetch a number once and use it many times.
# `tinyencodec.kernels.tile` keeps a small block of outputs, several rows times several columns, in the processor's
# registers (the few numbers that it can reach at once) until they are finished. Each fetched input then serves all
# columns of the block, each fetched weight all its rows. `tinyencodec.kernels.gemm` (*general matrix multiply*, a
# traditional name) walks such tiles over overlapping rows.
#
# Now the race: 3000 outputs of 64 channels. NumPy may spread its product over several cores, so we count processor
# time: two cores at work count twice. The Python loops run for 20 outputs only, and their time is scaled up.

# %%
def seconds(function, *arguments, repeats=5):
    """The shortest of several runs: what disturbs a run only ever makes it longer."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function(*arguments)
        times.append(time.process_time() - start)
    return min(times)


layer = Conv1d(w, b)
times = {
    "Python loops": seconds(loops, x[:20 + k - 1], w, b, repeats=1) * 3000 / 20,
    "im2col, then NumPy's product": seconds(im2col, x, w, b),
    "overlapping rows, NumPy's product": seconds(strided, x, w, b),
    "Numba, plain loops": seconds(compiled, x, matrix, b, k),
    "our gemm": seconds(layer.valid, x, repeats=20),
}

# %% tags=["hide-input"]
fig, axis = plt.subplots(figsize=(8, 2.8))
names = list(times)[::-1]
bars = axis.barh(names, [1000 * times[name] for name in names])
axis.bar_label(bars,
               [f"{1000 * times[name]:,.3g} ms" if times[name] < 1
                else f"{times[name]:,.0f} s" for name in names], padding=4)
axis.set(title="The same convolution, five times",
         xlabel="processor time (ms), logarithmic", xscale="log",
         xlim=(200 * min(times.values()), 10_000 * times["Python loops"]))
book.show("times")

# %%
operations = 2 * 3000 * k * c_in * c_out
book.say(f"From the loops to the package's kernel: "
         f"{times['Python loops'] / times['our gemm']:,.0f} times faster. That kernel "
         f"does {operations / times['our gemm'] / 1e9:.0f} billion additions and "
         f"multiplications a second here; the plain compiled loops, "
         f"{operations / times['Numba, plain loops'] / 1e9:.0f} billion.")
assert times["Python loops"] > 100 * times["Numba, plain loops"] > 100 * times["our gemm"]

# %% [markdown]
# (NumPy's product is itself such a kernel, written by hand. So plain loops, even compiled, need not beat it.)
#
# ## One product for everything
#
# What else does a codec compute? Every layer turns out to be the same product with other numbers. All that changes is
# where the rows begin and how wide the matrix is. You will meet the layers of this table in later chapters; here only
# its columns matter.
#
# | layer | row step | length of a row | columns |
# |---|---|---|---|
# | convolution, stride $s$ | $sC$ | $kC$ | $C_{\text{out}}$ |
# | convolution of kernel 1 | $C$ | $C$ | $C_{\text{out}}$ |
# | transposed convolution ([chapter 4](04_transposed_convolution.py)) | $C$ | $C\lceil k/s\rceil$ | $sC_{\text{out}}$ |
# | input side of an LSTM ([chapter 7](07_lstm.py)) | $H$ | $H$ | $4H$ |
# | distances to $N$ codebook entries ([chapter 9](09_rvq.py)) | $D$ | $D$ | $N$ |
#
# So the package has one hot loop to make fast, to test and to trust. It is called as `gemm(x, packed, n_rows, row_step,
# bias)`: it takes `n_rows` rows, each `row_step` numbers after the one before, multiplies them by the packed matrix and
# adds the bias. Here are three rows of the table, done by hand.

# %%
packed = pack(matrix)  # the weights in the order in which the tile reads them
by_two = gemm(x, packed, 1500, 2 * c_in, b)  # stride 2: rows begin two moments apart
assert np.array_equal(by_two, reference[::2])

point = gemm(x, pack(w[:, :, 0].T), len(x), c_in, b)  # kernel 1: a product at each moment
assert np.allclose(point, x @ w[:, :, 0].T + b, atol=1e-5)

# ten vectors: which is nearest to each moment of x?
entries = rng.standard_normal((10, c_in), dtype=np.float32)
scores = gemm(x, pack(entries.T), len(x), c_in,
              (-np.square(entries).sum(1) / 2).astype(np.float32))
distance = np.linalg.norm(x[:, None] - entries, axis=2)
assert np.array_equal(scores.argmax(axis=1), distance.argmin(axis=1))

# %% [markdown]
# (The last one uses $|x-e|^2 = |x|^2 - 2\,(x \cdot e - |e|^2/2)$: the nearest entry has the largest bracket.)
#
# ## The order of a sum
#
# Computers round after each addition, so $(a+b)+c$ and $a+(b+c)$ may differ in the last digit. A library for matrix
# products picks the order that suits the shapes of the matrices. Multiply the same row within a large matrix, then
# on its own, and the last digit may change. For most programs that is harmless. Here it is not: [chapter
# 5](05_streaming.py) will cut a signal into pieces and demand the *same bits*, and in [chapter
# 13](13_language_model.py) one last digit can destroy a whole recording.
#
# The package's tile adds the terms of every sum in the same order, and rounds once for each product and sum together,
# no matter which other rows are computed at the same time. Let us compute the 3000 rows at once, and again one by one.

# %%
def one_by_one(product):
    return np.concatenate([product(x[t:t + k]) for t in range(3000)])


numpy_change = strided(x, w, b) - one_by_one(lambda piece: strided(piece, w, b))
our_change = layer.valid(x) - one_by_one(layer.valid)
assert not our_change.any() and np.abs(numpy_change).max() < 1e-4

book.say(f"With NumPy's product, {100 * np.mean(numpy_change != 0):.0f} % of the outputs "
         f"differ, by {np.abs(numpy_change).max():.1e} at most. With ours, none does.")

# %% [markdown]
# ## In the paper
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, begins its encoder with a convolution of kernel 7 and $C =
# 32$ channels; the model of this book has 16. The paper leaves it to PyTorch how convolutions are computed. PyTorch is
# fast, but promises no order of sums. [Results](results.md) compares the speeds.
#
# ## Summary
#
# - A convolution slides a kernel along the signal; each output is a weighted sum of a window.
# - With channels, the sum runs over the window's moments and over the input channels.
# - All windows together are the rows of a matrix. In time-major memory that matrix is already there, without a copy.
# - A fast product keeps sums in registers and uses each fetched number many times.
# - Stride, kernel 1, transposed convolutions, LSTM inputs and codebook searches are the same product. The order of its
#   sums is fixed, so a row gives the same bits whatever is computed beside it.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/02_convolution.md), each behind a click.
#
# 1. *Easy.* Convolving with `mean` and then with `mean` again equals one convolution with a third kernel. Which, and
#    how long is it? Plot it.

# %%
third = ...  # an array
book.check("2.1", third)

# %% [markdown]
# 2. *Medium.* How many multiplications does the first layer of the full-size model take for a second of sound (24 kHz,
#    1 channel in, 32 out, kernel 7)? And the last layer of its encoder (75 moments a second, 512 channels in, 128 out,
#    kernel 7)? Explain why the layer with the short signal is the more expensive one.

# %%
first_layer, last_layer = ..., ...
book.check("2.2", first_layer, last_layer)

# %% [markdown]
# 3. *Harder.* A dilated convolution leaves gaps: $y_t = \sum_j x_{t+jd}\, w_j$. Write it with `gemm`, using its
#    arguments `taps` and `tap_step`, and check it against `Conv1d(..., dilation=d).valid`.

# %%
def dilated(x, w, b, d):
    """[T, C_in], [C_out, C_in, k], [C_out] -> [T - (k - 1) d, C_out]"""
    return ...


book.check("2.3", dilated)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.layers.conv`: the convolution layer; `valid` is this chapter, the rest of it the next three
# - `tinyencodec.kernels.gemm`: the product of overlapping rows and a packed matrix, beside a naive twin
# - `tinyencodec.kernels.tile`: the block of sums in registers; instructions in `tinyencodec.system.compiler.tile_code`
# - `tinyencodec.system.compiler.jit`: how all hot loops are compiled, and paired with their naive twins
