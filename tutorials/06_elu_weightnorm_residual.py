# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 6 ELU, weight norm and the residual block
#
# Convolutions alone do not make a network. Between them stands a function with a bend, the ELU. Their weights are
# stored in two parts, length and direction. And some of them do not replace the signal but add to it. These are three
# small things, and a trained model cannot do without any of them. You will hear what happens if it has to.
#
# **What you will see**
#
# - two convolutions that are worth no more than one, and the bend that changes that
# - the ELU beside the ReLU, which has a corner, on a sine and inside the codec
# - weights split into length and direction, and along which axis
# - residual blocks without their branch, and without their shortcut: you will hear both

# %%
import book
import numpy as np
from matplotlib import pyplot as plt

import tinyencodec
from tinyencodec.layers.activation import elu
from tinyencodec.layers.conv import Conv1d
from tinyencodec.layers.conv_transpose import ConvTranspose1d
from tinyencodec.layers.norm import fold_weight_norm
from tinyencodec.layers.residual import ResidualBlock
from tinyencodec.layers.stack import ELU
from tinyencodec.models.tensors import read_model_folder

book.open_chapter()
rate = 24_000  # Hz
model = tinyencodec.load_model()
speech = book.recording("speech")  # [1, T]

# %% tags=["remove-input"]
book.drawing("here", chapter=6)

# %% [markdown]
# ## Why a bend at all?
#
# Run a signal through one kernel, and the result through a second. The same can be had with a single kernel: run the
# first kernel itself through the second. However many convolutions stand in a row, they amount to one, computed with
# more effort than needed.

# %%
rng = np.random.default_rng(6)
first, second = rng.normal(size=7), rng.normal(size=5)
both = np.convolve(first, second)  # one kernel of 11
wav = speech[0, 26_000:26_400]
in_a_row, at_once = np.convolve(np.convolve(wav, first), second), np.convolve(wav, both)
assert len(both) == 11 and np.allclose(in_a_row, at_once)
ms = 1000 * np.arange(400) / rate

# %% tags=["hide-input"]
plt.plot(ms, in_a_row[:400], label="kernels of 7 and 5, in a row", linewidth=3, alpha=0.4)
plt.plot(ms, at_once[:400], label="one kernel of 11", color="C1")
plt.gca().set(title="Two convolutions are one", xlabel="time (ms)", ylabel="value")
plt.legend()
book.show("two_are_one")

# %% [markdown]
# Such layers are *linear*: twice the input gives twice the output, and the output for a sum is the sum of the outputs.
# Something must stand between them that is not: a function that is applied to each number by itself, an
# [activation function](glossary.md#activation-function). The simplest one sets all negative numbers to zero. It is
# called ReLU, and has a corner at 0. EnCodec uses a relative without a corner, the [ELU](glossary.md#elu):
#
# $$ \mathrm{ELU}(x) = \begin{cases} x & x > 0 \\ e^x - 1 & x \le 0 \end{cases} $$

# %%
u = np.linspace(-5, 3, 801, dtype=np.float32)
naive = np.where(u > 0, u, np.exp(np.minimum(u, 0)) - 1)
assert np.allclose(elu(u), naive, atol=1e-6)
curves = {"identity": u, "ReLU": np.maximum(u, 0), "ELU": elu(u)}

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for (name, y), style in zip(curves.items(), (":", "--", "-")):
    axes[0].plot(u, y, style, label=name)
    axes[1].plot(u[1:], np.diff(y) / np.diff(u), style, label=name)
axes[0].set(title="Curve", xlabel="input", ylabel="output", ylim=(-2, 3))
axes[1].set(title="Slope", xlabel="input", ylabel="slope (output per input)",
            ylim=(-0.05, 1.1))
axes[0].legend()
book.show("curves")

# %%
slopes = np.diff(elu(u)) / np.diff(u)
assert slopes.min() > 0
assert np.abs(np.diff(slopes)).max() < 0.02  # never flat, and no jump

# %% [markdown]
# Left of 0 the ELU falls to $-1$ and no further. Its slope there is $e^x$, which is 1 at $x = 0$, just as on the right:
# the two pieces meet without a corner. And the slope is never quite 0. That matters in training. A network learns by
# asking of each of its numbers: if it were a little larger, how would the result change? If a layer makes 3 times as
# much of a small change, and the next one half of that, the result changes by $3 \cdot \frac12$ of it: slopes are
# multiplied, layer by layer ([chapter 14](14_training.py) does it in twenty lines). For a negative input, the slope of
# a ReLU is 0. If all inputs of a ReLU are negative, the weights before it learn nothing any more.
#
# (One could stretch the negative side, $\alpha (e^x - 1)$. Only $\alpha = 1$ gives no corner, and EnCodec uses that.)
#
# ## What a corner sounds like
#
# A bend adds *overtones*: send in a sine, and multiples of its frequency come out. A network needs that, to make
# something that was not there before. But a corner makes far stronger high overtones than a smooth bend.

# %%
t = np.arange(rate) / rate
sine = np.sin(2 * np.pi * 400 * t).astype(np.float32)
bent = {"sine": sine, "ReLU": np.maximum(sine, 0), "ELU": elu(sine)}
# at 400, 800, ... Hz
overtones = {name: book.decibels(np.fft.rfft(y)[400::400] / (rate / 2), floor=-140)
             for name, y in bent.items()}
assert (overtones["ELU"][1:29:2] < overtones["ReLU"][1:29:2]).all()
book.play(rate, **{name: 0.3 * (y - y.mean()) for name, y in bent.items()})

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(1, 1.6))
for name, y in bent.items():
    axes[0].plot(1000 * t[:120], y[:120], label=name)
for name, marker in (("ReLU", "s-"), ("ELU", "o-")):  # even multiples; the sine has none
    axes[1].plot(0.8 * np.arange(1, 15), overtones[name][1:29:2], marker, markersize=4,
                 label=name, color="C1" if name == "ReLU" else "C2")
axes[0].set(title="400 Hz, bent", xlabel="time (ms)", ylabel="value")
axes[0].legend(fontsize=8)
axes[1].set(title="Even overtones", xlabel="frequency (kHz)", ylabel="level (dB)")
axes[1].legend()
book.show("overtones")

# %% [markdown]
# (Each sound is played without its mean, which cannot be heard anyway.)
#
# ## What arrives at the codec's ELUs
#
# The bend matters only if numbers reach it. Here is what arrives at the ELUs between the blocks while somebody speaks:
# the range in which nine of ten numbers lie, and how many are negative. We walk through encoder and decoder ourselves,
# so that we can choose the activation function.

# %%
def walk(layers, x, activation=elu, seen=None):
    """The layers one by one; `seen` collects what arrives at the ELUs between them."""
    for layer in layers:
        if isinstance(layer, ELU):
            if seen is not None:
                seen.append(x)
            x = activation(x)
        elif isinstance(layer, ResidualBlock):
            x = layer.shortcut(x) + layer.second(activation(layer.first(activation(x))))
        else:
            x = layer(x)
    return x


[coded] = model.encode(speech, bandwidth=6.0)
z = model.quantizer.decode(coded.codes)  # [F, D]
seen = []
latent = walk(model.encoder.layers, np.ascontiguousarray(speech.T), seen=seen)
in_encoder = len(seen)
plain = walk(model.decoder.layers, z, seen=seen)
assert np.allclose(latent, model.encoder(np.ascontiguousarray(speech.T)), atol=1e-4)
assert np.allclose(plain, model.decoder(z), atol=1e-4)

# %%
names = [f"encoder, ELU {n + 1}" for n in range(in_encoder)]
names += [f"decoder, ELU {n + 1}" for n in range(len(seen) - in_encoder)]
low, high = np.array([np.quantile(values, (0.05, 0.95)) for values in seen]).T
places = np.arange(len(seen))

# %% tags=["hide-input"]
plt.figure(figsize=(8, 3.4))
plt.barh(places, high - low, left=low, color=["C0"] * in_encoder + ["C1"]
         * (len(seen) - in_encoder))
for at, values in zip(places, seen):
    plt.annotate(f"{100 * np.mean(values < 0):.0f} % negative", (1.02, at),
                 xycoords=("axes fraction", "data"), va="center", fontsize=8)
plt.axvline(0, color="0.6", linewidth=0.8)
plt.axvline(-1, color="0.6", linewidth=0.8, linestyle=":")
plt.yticks(places, names)
plt.xscale("symlog", linthresh=1)
plt.xticks(ticks := [t for t in (-100, -10, -1, -0.5, 0, 0.5, 1, 10, 100) if low.min() < t
                     < high.max()], ticks)
plt.gca().invert_yaxis()
plt.gca().set(title="What arrives at the ELUs: nine of ten values",
              xlabel="value (beyond ±1 logarithmic)")
book.show("arrivals")

# %%
negative = [100 * np.mean(values < 0) for values in seen]
book.claim(min(negative) > 20 and max(negative) < 80,
           "at each ELU much arrives that is negative, and much that is positive")
book.say(f"At each ELU, {min(negative):.0f} to {max(negative):.0f} % of the values are "
         f"negative. A ReLU would turn them all into zeros.")

# %%
x = seen[in_encoder - 2]  # before the encoder's last stride
flat, kept = np.mean(np.maximum(x, 0) == 0), np.mean(elu(x) == 0)
assert flat > 0.1 > 0.01 > kept
book.say(f"Before the encoder's last stride, for example, a ReLU would make "
         f"{100 * flat:.0f} % of all values zero, and the next layer could not tell them "
         f"apart. After an ELU they still differ.")

# %% [markdown]
# Let us replace the decoder's ELUs by ReLUs, and then by nothing. The model was trained with ELUs, so this does not say
# which is *better*. It says that the trained weights rely on the curve that they were trained with.

# %%
relu = walk(model.decoder.layers, z, lambda x: np.maximum(x, 0))[:, 0]
straight = walk(model.decoder.layers, z, lambda x: x)[:, 0]
plain = plain[:, 0]
loudest = np.abs(plain).max()
book.play(rate, with_ELU=plain, with_ReLU=relu * loudest / np.abs(relu).max(),
          without_a_bend=straight * loudest / np.abs(straight).max())
book.claim(book.snr(plain, straight) < book.snr(plain, relu) < 15,
           "without its ELUs the decoder makes another sound")
book.say(f"Compared with the decoder as it is: {book.snr(plain, relu):.1f} dB "
         f"signal-to-noise ratio with ReLUs, {book.snr(plain, straight):.1f} dB without "
         f"any bend. (They are played equally loud.)")

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
for axis, (title, y) in zip(axes,
                            {"ELU": plain, "ReLU": relu, "no bend": straight}.items()):
    level, extent = book.spectrogram(y * loudest / np.abs(y).max(), rate)
    image = axis.imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=title, xlabel="time (s)")
axes[0].set_ylabel("frequency (kHz)")
plt.colorbar(image, ax=axes, label="level (dB)")
book.show("bends")

# %% [markdown]
# ## Weight norm: length and direction
#
# A kernel is a list of numbers, and so a vector. It has a length $|v|$, the root of the sum of its squares, and a
# direction. [Weight norm](glossary.md#weight-norm) stores them apart, a length $g$, and any vector $v$ of which only
# the direction counts:
#
# $$ w = g \, \frac{v}{|v|} $$
#
# Then training can make a kernel stronger without turning it, and turn it without making it stronger. Here it is for
# two numbers, and for a kernel from the codec: the one in its layer whose $g$ differs most from $|v|$.

# %%
_, tensors = read_model_folder(model.folder)
v = tensors["encoder.layers.0.conv.weight_v"]
g = tensors["encoder.layers.0.conv.weight_g"]
# of each kernel, [C_out, 1, 1]
length = np.sqrt(np.square(v).sum(axis=(1, 2), keepdims=True))
w, at = g * v / length, np.abs(np.log(np.abs(g) / length)).argmax()

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1, 1.5))
for n, reach in enumerate((0.6, 1.7, 2.6)):
    arrow = reach * np.array([0.8, 0.6])
    axes[0].annotate("", arrow, (0, 0), arrowprops={"arrowstyle": "->", "color": "0.6"})
    axes[0].annotate(f"v{'′' * n}", arrow + (0.05, -0.2))
axes[0].annotate("", (0.96, 0.72), (0, 0),
                 arrowprops={"arrowstyle": "-|>", "color": "C1", "linewidth": 2})
axes[0].add_patch(plt.Circle((0, 0), 1.2, fill=False, color="C1", linestyle=":"))
axes[0].annotate("w, the same for all\nthree, of length g", (0.2, 1.4), color="C1")
axes[0].set(title="g is the radius", xlim=(-0.2, 2.6), ylim=(-0.2, 2), aspect="equal",
            xlabel="first number", ylabel="second number")
axes[1].plot(v[at, 0], "s:", color="0.6", markersize=4,
             label=f"v, length {np.linalg.norm(v[at]):.2f}")
axes[1].plot(w[at, 0], "o-", color="C1", markersize=4,
             label=f"w, length {np.linalg.norm(w[at]):.2f}")
axes[1].set(title=f"Kernel {at} of the encoder's first layer",
            xlabel="sample of the kernel", ylabel="weight")
axes[1].legend()
book.show("weight_norm")

# %%
assert np.allclose(fold_weight_norm(g, 10 * v), w, rtol=1e-4)
assert np.allclose(fold_weight_norm(g, v), w, rtol=1e-4)

# %% [markdown]
# ## One length for what?
#
# A layer has many kernels. Which of its numbers share a length? The rule is: all that have the same index in dimension
# 0 of the stored array. What dimension 0 *means* differs. A convolution is stored `[C_out, C_in, kernel]`: one length
# per *output* channel. A transposed convolution is stored `[C_in, C_out, kernel]`, so it has one length per *input*
# channel.
#
# This is easy to get wrong, and NumPy does not complain: the arrays can be multiplied either way. Let us compute $w$
# for one layer of each kind by the rule, and measure the lengths: of all numbers with the same index in dimension 0
# and, for contrast, in dimension 1.

# %%
def fold(g, v):
    """One length for each index of dimension 0."""
    return g * v / np.sqrt(np.square(v).sum(axis=(1, 2), keepdims=True))


down = next(i for i, layer in enumerate(model.encoder.layers)
            if getattr(layer, "stride", 1) > 1)
up = next(i for i, layer in enumerate(model.decoder.layers)
          if isinstance(layer, ConvTranspose1d))
for name in (f"encoder.layers.{down}.conv", f"decoder.layers.{up}.conv"):
    g = tensors[name + ".weight_g"]
    folded = fold(g, tensors[name + ".weight_v"])
    by_0, by_1 = (np.sqrt(np.square(folded).sum(axis=axes)) for axes in ((1, 2), (0, 2)))
    assert np.allclose(by_0, np.abs(g).ravel(), rtol=1e-4)
    book.say(f"`{name}`: {len(by_0)} lengths by dimension 0, all equal to the stored "
             f"|g|; by dimension 1 there would be {len(by_1)}, from {by_1.min():.2f} to "
             f"{by_1.max():.2f}.")

# %% [markdown]
# Weight norm is of use in training only. When a model is loaded, $w$ is computed once (the weight norm is *folded*),
# and $g$ and $v$ are forgotten. Did we fold as the package does? We build both layers from our weights, and compare
# their outputs with those of the model's own layers.

# %%
for name, layers, kind in ((f"encoder.layers.{down}.conv", model.encoder.layers, Conv1d),
                           (f"decoder.layers.{up}.conv", model.decoder.layers,
                            ConvTranspose1d)):
    theirs = layers[down if kind is Conv1d else up]
    ours = kind(fold(tensors[name + ".weight_g"], tensors[name + ".weight_v"]),
                tensors[name + ".bias"], stride=theirs.stride)
    x = rng.standard_normal((400, theirs.in_channels)).astype(np.float32)
    assert np.allclose(ours(x), theirs(x), atol=1e-4)
stored = [name for name in tensors if name.endswith("weight_g")]
extra = sum(tensors[name].size for name in stored)
total = sum(tensor.size for name, tensor in tensors.items()
            if not name.startswith("quantizer."))
book.say(f"They agree. In the model's file, {len(stored)} convolutions have a $g$: "
         f"{extra} numbers of {total}.")

# %% [markdown]
# ## The residual block
#
# The third device is a matter of wiring. A [residual block](glossary.md#residual-block) does not replace what came in
# by its result, but *adds* the two:
#
# $$ y = S(x) + B(x), \qquad B(x) = \mathrm{conv}_1(\mathrm{ELU}(\mathrm{conv}_3(\mathrm{ELU}(x)))) $$
#
# $B$ is the *branch*: two convolutions with kernels of 3 and 1, and half of the channels in between. $S$ is the
# *shortcut*. In many networks it is $x$ itself; in EnCodec it is a convolution with kernel 1, which mixes the channels
# of each moment, but cannot see any other moment. It has no bend either: $S$ is linear.

# %% tags=["remove-input"]
book.drawing("residual_block")

# %% [markdown]
# What is it for? To train a layer, one must know what a small change there does to the result. On the way to the
# result, each layer multiplies the change. We follow a tiny change through 30 layers with random weights, as large as
# those with which PyTorch starts: without a shortcut, with $x$ itself as the shortcut, and with a convolution of kernel
# 1, which here is one more random matrix.

# %%
def sensitivity(kind, depth=30, size=64):
    """How much is left of a tiny change of the input after each layer."""
    x, change = rng.normal(size=size), rng.normal(size=size)
    sizes = [np.linalg.norm(change)]
    for _ in range(depth):
        w, s = rng.uniform(-1, 1, (2, size, size)) / np.sqrt(size)
        shortcut = {"none": 0 * s, "x itself": np.eye(size), "a convolution": s}[kind]
        slope = np.where(x > 0, 1, np.exp(np.minimum(x, 0)))  # of the ELU
        x, change = (shortcut @ x + w @ elu(x.astype(np.float32)),
                     shortcut @ change + w @ (slope * change))
        sizes.append(np.linalg.norm(change))
    return np.array(sizes) / sizes[0]


runs = {kind: np.array([sensitivity(kind) for _ in range(20)])
        for kind in ("x itself", "a convolution", "none")}
left = {kind: np.median(values[:, -1]) for kind, values in runs.items()}
assert left["x itself"] > 1 > 0.1 > left["a convolution"] > 10 * left["none"]

# %% tags=["hide-input"]
for kind, values in runs.items():
    plt.plot(np.exp(np.log(values).mean(axis=0)), label=f"shortcut: {kind}")
plt.gca().set(title="A tiny change on its way", xlabel="layers passed",
              ylabel="size of the change", yscale="log")
plt.legend()
book.show("sensitivity")

# %%
book.say(f"After 30 layers, {left['none']:.0e} of the change is left without a shortcut, "
         f"{left['a convolution']:.0e} with a convolution as shortcut.")

# %% [markdown]
# Without a shortcut the first layer would hardly learn. With $x$ itself as the shortcut there is a path on which
# nothing is multiplied, and the change even grows. EnCodec's 32 kHz model is wired this way. Its 24 and 48 kHz models,
# and ours, have the third kind: their shortcut is a convolution of kernel 1, and that multiplies as well. It still
# keeps far more of the change than the branch alone. And EnCodec has four blocks in a row on each side, not thirty.
#
# ## Cut it, and listen
#
# Now remove the branches from all blocks of the decoder, so that only the shortcuts are left; then remove the
# shortcuts, so that only the branches are left. The codes stay the same.

# %%
def parts(block, x):
    """Shortcut and branch of a residual block."""
    return block.shortcut(x), block.second(elu(block.first(elu(x))))


def decode_with(rule):
    """The decoder, with rule(layer, shortcut, branch) in place of each block's sum."""
    x = z
    for i, layer in enumerate(model.decoder.layers):
        x = rule(i, *parts(layer, x)) if isinstance(layer, ResidualBlock) else layer(x)
    return x[:, 0]


whole = decode_with(lambda i, shortcut, branch: shortcut + branch)
assert np.allclose(whole, plain, atol=1e-4)
no_branch = decode_with(lambda i, shortcut, branch: shortcut)
no_shortcut = decode_with(lambda i, shortcut, branch: branch)
book.play(rate, whole_blocks=whole, only_shortcuts=no_branch, only_branches=no_shortcut,
          only_branches_made_as_loud=no_shortcut * whole.std() / no_shortcut.std())
book.claim(max(book.snr(whole, no_branch), book.snr(whole, no_shortcut)) < 2,
           "neither part alone follows the waveform")
book.say(f"Compared with whole blocks: {book.snr(whole, no_branch):.1f} dB with "
         f"shortcuts only, {book.snr(whole, no_shortcut):.1f} dB with branches only. "
         f"(Silence would have 0 dB.)")

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
for axis, (title, y) in zip(axes, {"whole blocks": whole, "only shortcuts": no_branch,
                                   "only branches (made as loud)": no_shortcut}.items()):
    level, extent = book.spectrogram(y * whole.std() / y.std() if y is no_shortcut else y,
                                     rate)
    image = axis.imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=title, xlabel="time (s)")
axes[0].set_ylabel("frequency (kHz)")
plt.colorbar(image, ax=axes, label="level (dB)")
book.show("cut")

# %% [markdown]
# Through the shortcuts alone the syllables still come through, at the right times and frequencies, but with much that
# does not belong there. Through the branches alone, next to nothing does. Neither follows the waveform: silence would
# come about as close. Only their sum does. Which block's branch matters most? We remove one at a time.

# %%
blocks = [i for i, layer in enumerate(model.decoder.layers)
          if isinstance(layer, ResidualBlock)]
levels = []
for cut in blocks:
    y = decode_with(lambda i, shortcut, branch, cut=cut: shortcut if i == cut
                    else shortcut + branch)
    levels.append(book.snr(whole, y))

# %% tags=["hide-input"]
plt.figure(figsize=(6, 3))
bars = plt.bar(range(len(blocks)), levels)
plt.bar_label(bars, fmt="%.1f")
plt.axhline(book.snr(whole, no_branch), color="0.6", linestyle=":",
            label="all branches removed")
plt.axhline(0, color="0.6", linewidth=0.8)
plt.xticks(range(len(blocks)), [f"layer {i}" for i in blocks])
plt.gca().set(title="One branch removed", ylabel="signal-to-noise ratio (dB)",
              xlabel="block of the decoder",
              ylim=(min(0, book.snr(whole, no_branch)) - 1, 1.15 * max(levels)))
plt.legend()
book.show("one_by_one")

# %%
book.claim(min(levels[:2]) > max(levels[2:]) and min(levels[:2]) > 6,
           "the last two matter most; without one of the others the waveform survives")

# %% [markdown]
# The branches of the last two blocks matter most: they shape the waveform itself. But without one of the first two,
# most of the waveform is still there. That is the other virtue of adding instead of replacing: a block can be weak, or
# wrong, and the signal still gets past it.
#
# ## In the paper
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, has all three: residual units, ELU, and weight norm for
# the streamable model. It gives both convolutions of a unit a kernel of 3; in the released code and weights, the second
# has a kernel of 1. That the released 24 and 48 kHz models have a convolution of kernel 1 on the shortcut, and the 32
# kHz model none, only the code and the weights tell.
#
# ## Summary
#
# - Convolutions in a row amount to one convolution, unless something with a bend stands between them.
# - The ELU is $x$ above 0 and $e^x - 1$ below: no corner, never flat, never below $-1$.
# - Weight norm stores $w$ as $g\,v/|v|$, with one length per index of dimension 0: per output channel in a convolution,
#   per *input* channel in a transposed one. It is folded into $w$ when a model is loaded.
# - A residual block adds a branch to a shortcut. The shortcut keeps a path open, for the signal and for learning.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/06_elu_weightnorm_residual.md), each behind a click.
#
# 1. *Easy.* What is $\mathrm{ELU}(-20)$ as a float32? And what does `np.exp(x) - 1` give for $x = -10^{-8}$ as a
#    float32, what does `elu`? Which is right?

# %%
elu_of_minus_20, exp_minus_1, elu_near_0 = ..., ..., ...
book.check("6.1", elu_of_minus_20, exp_minus_1, elu_near_0)

# %% [markdown]
# 2. *Medium.* Someone folds the transposed convolutions of the decoder with $|v|$ taken by output channel, and
#    multiplies by the stored $g$, one per input channel. Write this wrong fold, and decode the sentence with it. How
#    far is it from the right one, and what is heard?

# %%
def folded_by_output(g, v):
    """g [in, 1, 1], v [in, out, kernel] -> [in, out, kernel]"""
    return ...


book.check("6.2", folded_by_output)

# %% [markdown]
# 3. *Harder.* If $L$ is any result that depends on $w$, its slopes with respect to $v$ form a vector that is at right
#    angles to $v$. Check this with numbers for $L = \sum (w - \text{target})^2$, and say what it means for a training
#    that takes steps against these slopes.

# %%
def slopes(v, g, target):
    """The slope of L for each number of v, where w = g v / |v|"""
    return ...


book.check("6.3", slopes)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.layers.activation`: the ELU from its own `expm1`, $e^x - 1$ without loss of digits near zero
# - `tinyencodec.layers.norm`: `fold_weight_norm`; the group norm of the 48 kHz model is for [chapter
#   10](10_the_whole_codec.py)
# - `tinyencodec.layers.residual`: the residual block, whose two sums are one product
# - `tinyencodec.layers.stack`: why an ELU is left to the convolution after it
