# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 7 The LSTM
#
# A convolution knows its window and nothing else. Near the end of the encoder and near the start of the decoder sits a
# layer of another kind, which has a memory. It reads the signal frame by frame, and at each frame decides what to keep,
# what to forget and what to say.
#
# **What you will see**
#
# - a memory cell with three gates, worked by hand
# - the two-layer LSTM of this codec, rebuilt in ten lines and equal to the package's
# - its gates at work on real speech
# - how long it remembers
# - what happens if its state is reset, as a curve and as a sound

# %%
import time

import book
import numpy as np
from matplotlib import pyplot as plt

import tinyencodec
from tinyencodec.kernels.gemm import gemm, pack
from tinyencodec.layers.lstm import LSTM
from tinyencodec.models.tensors import read_model_folder

book.open_chapter()
rate = 24_000  # Hz
model = tinyencodec.load_model()
hop = model.hop_length
frame_ms = 1000 * hop / rate
speech = book.recording("speech", rate)

# %% tags=["remove-input"]
book.drawing("here", chapter=7)

# %% [markdown]
# ## A cell that keeps
#
# Picture a number $c$, the [cell](glossary.md#cell). At each step it is multiplied by $f$, a number between 0 and 1,
# and something new is added:
#
# $$ c \leftarrow f\,c + i\,g $$
#
# With $f = 1$ the cell keeps its value for ever. With $f = 0$ it forgets at once. With $f = 0.9$ it fades, to half in
# six to seven steps. The other two say what comes in: $g$ is the *candidate*, and $i$, again between 0 and 1, says how
# far the door is open for it. Finally $o$ says how much of the cell is shown to the outside. The output $h$ is
#
# $$ h = o \tanh(c) $$
#
# $f$, $i$ and $o$ are called the forget, input and output [gates](glossary.md#gate). Here is one cell whose gates we
# move by hand.

# %%
def cell(i, f, g, o):
    """The course of one cell and of its output, for given gates: [T] each -> [T], [T]"""
    c, cells = 0.0, []
    for step in range(len(i)):
        c = f[step] * c + i[step] * g[step]
        cells.append(c)
    return np.array(cells), o * np.tanh(cells)


steps = np.arange(60)
g = np.sin(steps / 4)  # what there is to know
i = np.where((steps == 6) | (steps == 30), 1.0, 0.0)  # store it at two moments
f = np.where(steps < 45, 1.0, 0.85)  # keep; later let it fade
o = np.where(steps < 15, 0.0, 1.0)  # say nothing at first
c, h = cell(i, f, g, o)
assert np.allclose(c[6:30], g[6])
assert np.allclose(c[30:45], g[6] + g[30])  # kept exactly, then added to

# %% tags=["hide-input"]
fig, axes = plt.subplots(2, 1, figsize=(8, 4.4), sharex=True)
for name, values in {"candidate g": g, "input gate i": i, "forget gate f": f,
                     "output gate o": o}.items():
    axes[0].plot(steps, values, drawstyle="steps-mid", label=name)
axes[1].plot(steps, c, "o-", markersize=3, label="cell c")
axes[1].plot(steps, h, "s-", markersize=3, label="output h")
axes[0].set(title="Three gates and a candidate, and what the cell makes of them",
            ylabel="value", ylim=(-1.1, 2))
axes[1].set(xlabel="step", ylabel="value")
for axis in axes:
    axis.legend(ncols=4, fontsize=8, loc="upper right")
book.show("one_cell")

# %% [markdown]
# The cell stores the candidate at step 6 and keeps it, whatever follows. At step 30 it adds the candidate of that
# moment, and from step 45 on it fades. The output shows it only from step 15 on.
#
# ## The gates move themselves
#
# In a network nobody moves the gates by hand. They are computed at each step, from the present input $x$ and from the
# layer's own last output $h$. With $H$ cells in a layer, the four matrices, of $H$ rows each, are stacked into one of
# $4H$ rows, so that a single product gives all four results, one below the other:
#
# $$ (i, f, g, o) = W_{ih}\, x + b_{ih} + W_{hh}\, h + b_{hh} $$
#
# and then $i$, $f$ and $o$ go through the *logistic function* $\sigma$, which maps any number to one between 0 and 1,
# and $g$ goes through the hyperbolic tangent, $\tanh$, which maps it to one between -1 and 1. This is the
# [LSTM](glossary.md#lstm), "long short-term memory" (Hochreiter and Schmidhuber, 1997; Gers, Schmidhuber and Cummins
# added the forget gate in 2000). The order $i, f, g, o$ and the two biases, where one would be enough, are PyTorch's.

# %% tags=["remove-input"]
book.drawing("lstm_cell")

# %%
def sigma(x):
    return 1 / (1 + np.exp(-x))


def lstm_layer(x, w_ih, w_hh, b_ih, b_hh):
    """[T, H] -> outputs, cells and gates (i, f, g, o): [T, H], [T, H], [T, 4, H]"""
    h, c = np.zeros((2, x.shape[1]), np.float32)
    outputs, cells, gates = [], [], []
    for now in x @ w_ih.T + b_ih:
        i, f, g, o = np.split(now + w_hh @ h + b_hh, 4)
        i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        outputs, cells, gates = [*outputs, h], [*cells, c], [*gates, (i, f, g, o)]
    return np.array(outputs), np.array(cells), np.array(gates)


plot = np.linspace(-6, 6, 200)

# %% tags=["hide-input"]
plt.figure(figsize=(6, 2.6))
plt.plot(plot, sigma(plot), label="logistic function, for the gates")
plt.plot(plot, np.tanh(plot), label="tanh, for candidate and output")
plt.gca().set(title="Two ways to tame a number", xlabel="input", ylabel="output",
              ylim=(-1.1, 1.9))
plt.legend(fontsize=8, loc="upper left")
book.show("squash")

# %% [markdown]
# EnCodec stacks two such layers, and adds the input to the result, a shortcut as in [chapter
# 6](06_elu_weightnorm_residual.py). Its input is what the last strided convolution makes of the sound, one vector per
# frame. Let us take the weights from the model's file and run speech through both.

# %%
place = next(n for n, layer in enumerate(model.encoder.layers) if type(layer).__name__
             == "LSTM")
_, tensors = read_model_folder(model.folder)
parts = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
weights = [[tensors[f"encoder.layers.{place}.lstm.{part}_l{layer}"] for part in parts]
           for layer in (0, 1)]

x = np.ascontiguousarray(speech.T)
for layer in model.encoder.layers[:place]:
    x = layer(x)  # up to the LSTM: [F, H]
first, cells, gates = lstm_layer(x, *weights[0])
second, second_cells, second_gates = lstm_layer(first, *weights[1])
package = model.encoder.layers[place]
assert np.allclose(x + second, package(x), atol=1e-4)
size = x.shape[1]
book.say(f"Each layer has {size} cells and {4 * size * (2 * size + 2)} weights. The RMS "
         f"over all frames and channels is {x.std():.2f} on the shortcut, and "
         f"{second.std():.2f} for what the LSTM adds.")

# %% [markdown]
# ## Gates at work
#
# Now look inside. Below the waveform are the forget gates of the first layer: one row per cell, sorted, bright where
# the cell keeps what it has. Below that are three cells: one that forgets quickly, one in between, and one with a long
# memory.

# %%
forget = gates[:, 1]  # [F, H]
order = np.argsort(forget.mean(axis=0))
seconds = np.arange(len(x)) * hop / rate
end = len(x) * hop / rate

# %% tags=["hide-input"]
fig, axes = plt.subplots(3, 1, figsize=(9, 7), sharex=True, height_ratios=(1, 2, 1.6))
axes[0].plot(np.arange(speech.shape[1]) / rate, speech[0], linewidth=0.4)
axes[0].set(title="The sentence", ylabel="sample value")
image = axes[1].imshow(forget[:, order].T, extent=(0, end, 0, size), vmin=0, vmax=1,
                       cmap="viridis")
axes[1].set(title="Forget gates of the first layer", ylabel="cell, sorted by mean")
fig.colorbar(image, ax=axes[1], label="forget gate")
for rank in (0.02, 0.5, 0.98):
    chosen = order[int(rank * (size - 1))]
    course = cells[:, chosen] / np.abs(cells[:, chosen]).max()
    axes[2].plot(seconds, course,
                 label=f"mean forget gate {forget[:, chosen].mean():.2f}")
axes[2].set(title="Three cells", xlabel="time (s)", ylabel="part of its largest value",
            ylim=(None, 1.25 * axes[2].get_ylim()[1]))
axes[2].legend(fontsize=8, ncols=3, loc="upper right")
book.show("gates")

# %%
assert 0 < forget.min() and forget.max() < 1

# %% [markdown]
# The gates move with the sound: syllables and pauses can be seen as columns. And cells differ in character. A cell
# whose forget gate is $f$ on average halves its memory in about $\ln 0.5 / \ln f$ frames. Here are these half-lives for
# all cells of both layers:

# %%
half_lives = [np.log(0.5) / np.mean(np.log(layer[:, 1]), axis=0) * frame_ms
              for layer in (gates, second_gates)]
within_a_frame = [np.mean(half_life < frame_ms) for half_life in half_lives]
book.say(f"{100 * within_a_frame[0]:.0f} % of the first layer's cells halve within a "
         f"frame, and {100 * within_a_frame[1]:.0f} % of the second's.")
book.claim(within_a_frame[0] > 0.5, "most cells of the first layer halve within a frame")

# %%
bins = np.geomspace(0.9 * np.min(half_lives), 1.1 * np.max(half_lives), 30)

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.8))
for name, half_life in zip(("first layer", "second layer"), half_lives):
    plt.hist(half_life, bins=bins, alpha=0.6, label=name)
plt.axvline(frame_ms, color="0.6", linestyle="--", label="one frame")
plt.gca().set(title="How soon cells forget half", xlabel="half-life (ms), logarithmic",
              ylabel="number of cells", xscale="log")
plt.legend()
book.show("half_life")

# %% [markdown]
# (We took the mean of the logarithm, because factors that follow each other multiply.) Most cells of the first layer
# hardly remember at all: they lie to the left of the dashed line, where half is gone before the next frame comes.
#
# ## How long does it remember?
#
# That is true of single cells. But what one cell stores also reaches the others, through $W_{hh}$. So let us measure:
# change a single frame of the LSTM's input, and see how long the output remembers. For comparison, the last convolution
# of the encoder remembers for exactly seven frames.

# %%
at, later = 100, 150
changed = x.copy()
changed[at] *= 1.1
effect = np.linalg.norm(package(changed) - package(x), axis=1)[at:at + later]
last = model.encoder.layers[-1]
conv_effect = np.linalg.norm(last(changed) - last(x), axis=1)[at:at + later]

# %% tags=["hide-input"]
for name, curve in {"LSTM": effect,
                    f"convolution of kernel {last.kernel_size}": conv_effect}.items():
    shown = np.where(curve > 0, curve / curve[0], np.nan)
    plt.semilogy(np.arange(later) * frame_ms / 1000, shown, "o-", markersize=2.5,
                 label=name)
plt.gca().set(title="What is left of a change in one frame",
              xlabel="time since the change (s)", ylabel="relative to the first frame")
plt.legend()
book.show("memory")

# %%
assert not conv_effect[last.kernel_size:].any() and effect[later // 2] > 0
faded = np.argmax(effect < 0.01 * effect[0])
book.say(f"The change falls below 1 % of its first effect after {faded} frames, "
         f"{faded * frame_ms / 1000:.2f} s.")

# %% [markdown]
# ## Carried or reset
#
# The state of this layer, $h$ and $c$ of all cells, is what [chapter 5](05_streaming.py) carries from piece to piece.
# What happens if only this state is lost? We run the codec in pieces of 0.4 s. All convolutions keep their states; the
# LSTMs of encoder and decoder begin each piece anew, from zero.

# %%
def run(resets, quantise=True):
    """The codec in pieces of 30 frames; `resets`: the LSTMs forget before each."""
    stacks = model.encoder, model.decoder
    states = [stack.start() for stack in stacks]
    made = []
    for at in range(0, speech.shape[1] // hop * hop, 30 * hop):
        for stack, state in zip(stacks, states) if resets else ():
            for n, layer in enumerate(stack.layers):
                if type(layer).__name__ == "LSTM":
                    state[n] = layer.start()
        z = model.encoder.step(np.ascontiguousarray(speech.T[at:at + 30 * hop]),
                               states[0])
        if quantise:
            codes = model.quantizer.encode(z, model.codebooks_for(6.0))
            z = model.quantizer.decode(codes)
        made.append(model.decoder.step(z, states[1]))
    return np.concatenate(made)[:, 0]


carried, reset = run(False), run(True)
batch = model.decode(model.encode(speech, bandwidth=6.0))[0, :len(carried)]
assert np.array_equal(carried, batch)
assert not np.array_equal(reset, batch)  # carried: not a bit is different
book.play(rate, carried=carried, reset=reset, the_difference=reset - carried)

# %%
def distance(one, other):
    """Root mean square of the difference by frame, relative to the level: [pieces, 30]"""
    whole = len(one) // (30 * hop) * 30 * hop
    squares = np.square(one - other,
                        dtype=np.float64)[:whole].reshape(-1, 30, hop).mean(axis=2)
    return np.sqrt(squares) / one.std()


error = distance(carried, reset)
smooth_error = distance(run(False, quantise=False), run(True, quantise=False))

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9, 3), width_ratios=(2, 1), sharey=True)
axes[0].plot(np.arange(error.size) * frame_ms / 1000, error.ravel())
for at in range(1, len(error)):
    axes[0].axvline(at * 0.4, color="0.6", linewidth=0.6, linestyle="--")
axes[0].set(title="reset against carried (dashed: resets)", xlabel="time (s)",
            ylabel="relative error", ylim=(0, None))
for name, values in {"codec": error, "without quantiser": smooth_error}.items():
    by_place = np.sqrt(np.mean(values[1:] ** 2, axis=0))
    axes[1].plot(np.arange(30) * frame_ms, by_place, "o-", markersize=3, label=name)
axes[1].set(title="by time since the reset", xlabel="time since the reset (ms)")
axes[1].legend(fontsize=8)
book.show("reset")

# %%
start, end = error[1:, :7].mean(), error[1:, -7:].mean()
book.say(f"In the first 100 ms after a reset the error is {start:.2f} of the sound's "
         f"level, in the last 100 ms before the next {end:.2f}; without quantiser "
         f"{smooth_error[1:, :7].mean():.2f} and {smooth_error[1:, -7:].mean():.3f}.")
faded = smooth_error[1:, -7:].mean() < 0.5 * smooth_error[1:, :7].mean()
book.claim(faded and end > 0.5 * start, "the error fades only without the quantiser")

# %% [markdown]
# There is hardly a click this time, because the convolutions keep their states. But after each reset the LSTMs know
# nothing but the present, and the result differs from the carried one to the end of the piece. Does that make it
# *worse*? Measure both against the original.

# %%
original = speech[0, :len(carried)]
ratios = {name: book.snr(original, sound) for name, sound in
          (("carried", carried), ("reset", reset))}
book.say(f"Against the original, the SNR is {ratios['carried']:.2f} dB carried and "
         f"{ratios['reset']:.2f} dB reset.")
book.claim(abs(ratios["carried"] - ratios["reset"]) < 0.5, "a reset costs little")

# %% [markdown]
# By that measure next to nothing is lost: these are two codings of the same sound, about equally good but not the same.
# The memory is short, as the curves above say. Then why does the difference not fade to nothing before the next reset?
# Because the quantiser between encoder and decoder turns a small difference into another code, and so into a whole
# step. Without it (right, orange) the error fades.
#
# What matters is that both ends do the same. So in a file of blocks, each of which can be decoded on its own ([chapter
# 11](11_bits_and_files.py)), encoder and decoder both start anew at every block.
#
# ## One step after another
#
# Each step needs the output of the step before. A convolution can compute all moments at once; an LSTM has to take them
# one by one. Half of the work need not wait: $W_{ih} x$ depends on the input only, so the package computes it for all
# frames in one product ([chapter 2](02_convolution.py)). The other half, $W_{hh} h$, takes as many multiplications, but
# is a matrix times a single vector at a time. Each weight is fetched, used once, and must be fetched again for the next
# frame. We compare the two halves for layers of several sizes; the full-size model has 512 cells.

# %%
def processor_time(function, repeats=5):
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        taken.append(time.process_time() - begin)
    return min(taken)


frames, at_once, one_by_one, sizes = 300, [], [], (64, 128, 256, 512)
rng = np.random.default_rng(0)
for h in sizes:
    inputs = rng.standard_normal((frames, h), dtype=np.float32)
    zero = np.zeros(4 * h, np.float32)
    w_ih, w_hh = (rng.standard_normal((2, 4 * h, h)) / np.sqrt(h)).astype(np.float32)
    packed, layer = pack(w_ih.T), LSTM([(w_ih, w_hh, zero, zero)])
    product = processor_time(lambda: gemm(inputs, packed, frames, h, zero))  # noqa: B023
    both = processor_time(lambda: layer(inputs))  # noqa: B023
    at_once.append(frames * 4 * h * h / product / 1e9)
    one_by_one.append(frames * 4 * h * h / (both - product) / 1e9)

# %% tags=["hide-input"]
plt.plot(sizes, at_once, "o-", label="W_ih x, all frames in one product")
plt.plot(sizes, one_by_one, "s-", label="W_hh h and the gates, frame by frame")
plt.gca().set(title="Speed of the two halves of an LSTM layer",
              xlabel="cells in the layer", xticks=sizes,
              ylabel="multiplications (10^9 per s)", ylim=(0, 1.35 * max(at_once)))
plt.legend()
book.show("speed")

# %%
assert at_once[-1] > one_by_one[-1]

# %% [markdown]
# ## In the paper
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, puts a two-layer LSTM behind the strided convolutions. The
# skip connection around it, and the order of the gates, come from the released code.
#
# ## Summary
#
# - A forget gate says how much of an LSTM's cell is kept, an input gate how much is added, an output gate how much is
#   shown.
# - The gates are computed from the input and the last output, in the order $i, f, g, o$. EnCodec has two layers, and
#   adds the input at the end.
# - Cells forget at different speeds. There is no window: a change fades, but does not end at a certain frame.
# - The state is $h$ and $c$. If it is carried, streaming equals batch in every bit. If it is reset, the result is
#   another one, about as good.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/07_lstm.md), each behind a click.
#
# 1. *Easy.* A cell should halve its memory in one second at 75 frames a second. What must its forget gate be? What
#    input to the logistic function gives that?

# %%
gate, into_the_function = ..., ...
book.check("7.1", gate, into_the_function)

# %% [markdown]
# 2. *Medium.* Choose weights and biases of a single cell ($H = 1$) such that it adds up its input (for inputs that are
#    small), and check it with `lstm_layer`. Why does it fail for large inputs?

# %%
w_ih, w_hh, b_ih, b_hh = ..., ..., ..., ...  # [4, 1], [4, 1], [4], [4]
book.check("7.2", w_ih, w_hh, b_ih, b_hh)

# %% [markdown]
# 3. *Harder.* Rewrite `lstm_layer` so that it takes and returns a state, and show that pieces give the same as the
#    whole.

# %%
def lstm_pieces(x, weights, state):
    """[t, H], (w_ih, w_hh, b_ih, b_hh), (h, c) -> outputs [t, H], the state after them"""
    return ...


book.check("7.3", lstm_pieces)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.layers.lstm`: the two-layer LSTM; `_recur` is the loop over frames, beside a naive twin like ours
# - `tinyencodec.layers.activation`: `_sigmoid` and `_tanh`, both from the same function as ELU
# - `tinyencodec.system.threads`: while one thread runs the LSTM, others work on the layers before and after it
