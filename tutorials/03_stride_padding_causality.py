# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 3 Stride, padding and causality
#
# A convolution has three settings that decide what a codec can do: how far its kernel moves at a time, what it sees
# beyond the ends of the signal, and whether it may look into the future. The third decides whether the codec can be
# used in a conversation.
#
# **What you will see**
#
# - which inputs each output depends on, as a picture, for several kinds of convolution
# - how EnCodec gets from 24 000 samples a second to 75 frames
# - zeros or a mirror image before the beginning, and what each does to the onset of a sound
# - the price of the mirror: the codec's delay of 93 ms, derived layer by layer and then measured

# %%
import dataclasses
import math

import book
import numpy as np
from matplotlib import pyplot as plt

import tinyencodec
from tinyencodec.codec.model import EncodecModel
from tinyencodec.layers.conv import Conv1d, pad
from tinyencodec.models.tensors import read_model_folder

book.open_chapter()
rate = 24_000  # Hz

# %% tags=["remove-input"]
book.drawing("here", chapter=3)

# %% [markdown]
# ## Stride: fewer outputs
#
# In [chapter 2](02_convolution.py) the kernel moved by one sample at a time. Let it move by $s$ samples, the
# [stride](glossary.md#stride), and there are $s$ times fewer outputs:
#
# $$ y_t = \sum_{j=0}^{k-1} x_{ts + j}\, w_j $$
#
# EnCodec shortens its signal in this way, with kernels twice as long as the stride, so that neighbouring windows
# overlap by half. At each step there are fewer moments, and more channels. The channels make up for only a part of what
# is lost: in the end a second has far fewer numbers than at the start ([chapter 8](08_seanet.py) counts them).

# %%
config = tinyencodec.load_model().config
strides = config.upsampling_ratios[::-1]  # listed in the decoder's order
rates = rate / np.cumprod([1, *strides])
assert math.prod(strides) == config.hop_length
table = ["| after | moments a second | one moment is |", "|---|---|---|"]
for n, moments in enumerate(rates):
    passed = f"stride {strides[n - 1]}" if n else "(sound)"
    many = f"{moments:,.0f}".replace(",", " ")
    table.append(f"| {passed} | {many} | {1000 / moments:.2f} ms |")
book.say("\n".join(table))
book.say(f"Strides of {', '.join(map(str, strides))} in a row make one frame of "
         f"{config.hop_length} samples: {rates[-1]:g} frames a second, one every "
         f"{1000 / rates[-1]:.1f} ms.")

# %% [markdown]
# A moment at the end of the encoder is called a [frame](glossary.md#frame), and the samples from one to the next are
# the [hop](glossary.md#hop-length). Further down we will run the whole codec, although most of it comes in later
# chapters. All we need to know here: the *encoder* turns sound into frames of numbers, its
# [latent](glossary.md#latent); these are rounded to *codes*; and the *decoder* turns codes into sound again.
#
# ## Who sees whom?
#
# To see what a layer looks at, poke it. Feed it a signal that is zero except for a single 1 at place $n$, and see which
# outputs react. Do so for all places in turn, and you have a table of outputs against inputs, a *dependency map*. (With
# kernels of ones and no bias, it shows how often each input is counted.)

# %%
def dependencies(layer, length):
    """What input n adds to output t: an array [T_out, T_in]."""
    pulses = np.eye(length, dtype=np.float32)
    return np.stack([layer(pulse[:, None])[:, 0] for pulse in pulses], axis=1)


def ones(kernel, **options):
    return Conv1d(np.ones((1, 1, kernel), np.float32), np.zeros(1, np.float32), **options)


def draw(axis, matrix, title, stride=1):
    axis.imshow(np.where(matrix > 0, matrix, np.nan), cmap="viridis", vmin=0, vmax=2,
                origin="upper")
    n = min(len(matrix), matrix.shape[1] / stride)  # output n stands at input n * stride
    axis.plot([-0.5, n * stride - 0.5], [-0.5, n - 0.5], "--", color="C1", linewidth=2)
    axis.set(title=title, xlabel="input", xticks=range(0, matrix.shape[1], 3),
             yticks=range(0, len(matrix), 3))
    axis.title.set_fontsize(9)

# %%
inside = dependencies(ones(3), 12)[2:]  # the outputs whose windows need no padding

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(9, 3))
draw(axes[0], inside, "kernel 3: only whole windows")
draw(axes[1], dependencies(ones(3, causal=False, pad_mode="constant"), 12),
     "kernel 3, zeros on both sides")
draw(axes[2], dependencies(ones(4, stride=2, causal=False, pad_mode="constant"), 12),
     "kernel 4, stride 2, zeros", 2)
axes[0].set_ylabel("output")
book.show("padding")

# %%
assert inside.shape == (10, 12)  # two outputs fewer than inputs
for length in (12, 13):
    assert len(dependencies(ones(4, stride=2), length)) == math.ceil(length / 2)

# %% [markdown]
# Each row is one output; its coloured cells are the inputs it sees. On the left, the kernel must lie inside the signal,
# and two outputs are missing: a dozen such layers would eat the ends away. So samples are put in front and behind, the
# [padding](glossary.md#padding), $k - s$ of them in all. If the last window is still not full, more samples are added
# on the right. A signal of $T$ samples then always gives $\lceil T/s \rceil$ outputs.
#
# Now look at the dashed diagonal: there, an output sees the input of its own time. In all three maps, output $t$ also
# sees inputs *after* its own time. For a file that is no problem. In a telephone call those inputs have not been spoken
# yet.
#
# ## Causality
#
# The remedy is simple: put all of the padding in front. Each window then ends at its own place in time, and no output
# sees a later input. Such a layer is called [causal](glossary.md#causal). In its dependency map, nothing is coloured
# above the diagonal.
#
# [Dilation](glossary.md#dilation) leaves that intact: a kernel with gaps of $d$ samples between its entries sees
# further into the past, at the same cost.

# %%
shapes = {"kernel 3": {"kernel": 3}, "kernel 4, stride 2": {"kernel": 4, "stride": 2},
          "kernel 3, dilation 2": {"kernel": 3, "dilation": 2}}
causal = {name: dependencies(ones(**shape, pad_mode="constant"), 12)
          for name, shape in shapes.items()}
for name, matrix in causal.items():
    stride = shapes[name].get("stride", 1)
    for t, row in enumerate(matrix):  # no input after the output's own samples
        assert np.flatnonzero(row).max() <= (t + 1) * stride - 1

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(9, 3))
for axis, (title, matrix) in zip(axes, causal.items()):
    draw(axis, matrix, f"{title}, causal, zeros", shapes[title].get("stride", 1))
axes[0].set_ylabel("output")
book.show("causal")

# %% [markdown]
# (With stride 2, output $t$ stands for the samples $2t$ and $2t+1$, so it may see both.)
#
# ## Zeros or a mirror?
#
# What should stand in front of the signal? Zeros are the obvious choice. But a recording often begins in the middle of
# a sound, and for the first windows zeros look like a sudden start, a step that was never there. EnCodec's models take
# a mirror image of the beginning instead, [reflection](glossary.md#reflect-padding): in front of $x_0, x_1, x_2, \dots$
# stands $\dots, x_2, x_1$. The first sample itself is not repeated.
#
# Here is a causal kernel that takes the mean of 48 samples, run over a piece that begins in the middle of a vowel. The
# true curve is what the layer gives when it knows what came before.

# %%
speech = book.recording("speech")
start, n, kernel = 320 * book.FRAME + 100, 400, 48  # within the frame that we follow
whole, piece = speech.T, speech.T[start:start + n]  # [T, 1]


def mean(x, mode):
    return Conv1d(np.full((1, 1, kernel), 1 / kernel), np.zeros(1),
                  pad_mode=mode)(np.ascontiguousarray(x))[:, 0]


ms = 1000 * np.arange(n) / rate

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, mode, title in zip(axes, ("constant", "reflect"),
                             ("zeros in front", "mirror in front")):
    padded = pad(np.ascontiguousarray(piece), kernel - 1, 0, mode)[:, 0]
    axis.plot(1000 * np.arange(-kernel + 1, n) / rate, padded, color="0.6",
              label="signal and its padding")
    axis.plot(ms, mean(whole, mode)[start:start + n], ":", color="C3",
              label="the true curve", linewidth=2)
    axis.plot(ms, mean(piece, mode), color="C1", label="mean of 48 samples")
    axis.axvline(0, ymax=0.75, color="0.6", linewidth=0.6)
    axis.set(title=title, xlabel="time (ms)", xlim=(-2, 5), ylim=(-0.2, 0.42))
axes[0].set_ylabel("sample value")
axes[1].legend(fontsize=8, ncols=2, loc="upper left")
book.show("onset")

# %%
truth = mean(whole, "constant")[start:start + n]
error = {mode: np.abs(mean(piece, mode) - truth) for mode in ("constant", "reflect")}

# %% tags=["hide-input"]
for mode, label in (("constant", "zeros"), ("reflect", "mirror")):
    plt.plot(ms[:80], error[mode][:80], label=label)
plt.gca().set(title="Distance from the true curve", xlabel="time (ms)",
              ylabel="absolute error")
plt.legend()
book.show("onset_error")

# %%
# past the first windows, padding is forgotten
assert all(e[kernel - 1:].max() < 1e-6 for e in error.values())
places = np.arange(4000, 120_000, 37)
places = np.array([t for t in places if speech[0, t:t + 960].std() > 0.05])  # loud ones
window = np.arange(kernel)
first = {"true": speech[0, places[:, None] - window].mean(axis=1),
         "zeros": speech[0, places] / kernel,
         "mirror": speech[0, places[:, None] + window].mean(axis=1)}
off = {name: np.abs(value - first["true"]).mean() for name, value in first.items()}
loudness = {name: value.std() for name, value in first.items()}
book.say(f"The same at {len(places)} loud places. With zeros the first output is off by "
         f"{off['zeros']:.3f} on average, with the mirror by {off['mirror']:.3f}. "
         f"Its true RMS is {loudness['true']:.3f}; with zeros it is "
         f"{loudness['zeros']:.3f}, with the mirror {loudness['mirror']:.3f}.")
book.claim(loudness["zeros"] < 0.2 * loudness["true"] < 0.5 * loudness["mirror"],
           "zeros make the first output too small, the mirror does not")

# %% [markdown]
# Neither is the truth. A mirrored vowel is not what was spoken before, and on average it is even further off than
# silence. But its level is right, as measured by the [RMS](glossary.md#rms), the root of the mean of the squares. With
# zeros the first outputs are nearly silent, whatever the sound. Does that matter for a whole codec? Let us run the
# encoder on pieces of speech that start in the middle, once with each padding, and compare its first frames with those
# that it gives when it has heard everything before.

# %%
model = tinyencodec.load_model()
config, tensors = read_model_folder(model.folder)
# the same weights
zeros = EncodecModel("zeros", dataclasses.replace(config, pad_mode="constant"), tensors)
hop, frames = config.hop_length, 20
full = model.encoder(np.ascontiguousarray(speech.T))  # [F, D]
loud = [f for f in range(30, 380, 4) if speech[0, f * hop:(f + 3) * hop].std() > 0.05]
curves = {"zeros": [], "mirror": []}
for f in loud:
    cut = np.ascontiguousarray(speech.T[f * hop:(f + frames) * hop])
    for name, encoder in (("mirror", model.encoder), ("zeros", zeros.encoder)):
        curves[name].append(np.linalg.norm(encoder(cut) - full[f:f + frames], axis=1)
                            / np.linalg.norm(full[f]))

# %% tags=["hide-input"]
for name, curve in curves.items():
    plt.plot(np.mean(curve, axis=0), "o-", markersize=3, label=name)
plt.gca().set(title=f"Starting cold at {len(loud)} places",
              xlabel="frame after the start", xticks=range(0, 20, 2),
              ylabel="relative error of the latent")
plt.legend()
book.show("cold_start")

# %%
by_zeros, by_mirror = (np.mean(curves[name], axis=0) for name in ("zeros", "mirror"))
book.claim(by_mirror[0] < 0.8 * by_zeros[0] and (by_zeros[2:6] < by_mirror[2:6]).all(),
           "the mirror helps in the first frame, and not in those after it")
book.claim(np.abs(by_zeros - by_mirror).mean() < 0.5 * by_mirror.mean(),
           "the padding matters less than what was not heard")
book.say(f"In the first frame, the mean error is {by_zeros[0]:.2f} with zeros and "
         f"{by_mirror[0]:.2f} with the mirror; two frames later {by_zeros[2]:.2f} and "
         f"{by_mirror[2]:.2f}, ten frames later {by_zeros[10]:.2f} and "
         f"{by_mirror[10]:.2f}.")

# %% [markdown]
# Much of this error is due neither to zeros nor to mirrors: the encoder has simply not heard what went before, and it
# catches up over several frames, because of the memory in [chapter 7](07_lstm.py). The mirror makes the very first
# frame better, and the next few slightly worse; from the tenth on, the choice no longer shows. So the mirror is no
# miracle. But these weights were trained with it, and a model must be run with the padding that it was trained with:
# with another, it gives other codes.
#
# ## The price of the mirror
#
# To build the mirror image of the beginning, one must have seen the beginning. The first output of a causal layer with
# a mirror depends on samples that come *later*. Its dependency map says so: in the first rows, there is colour above
# the diagonal. (Yellow inputs count twice, once as themselves and once in the mirror.)

# %%
layer = ones(7)
last_seen = [np.flatnonzero(row).max() for row in dependencies(layer, 14)]

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(9, 3), width_ratios=(1, 1, 1.2))
draw(axes[0], dependencies(ones(7), 14), "kernel 7, causal, mirror")
draw(axes[1], dependencies(ones(6, stride=3), 14), "kernel 6, stride 3, causal, mirror",
     3)
axes[0].set_ylabel("output")
axes[2].plot(last_seen, "o-", label="mirror")
with_zeros = dependencies(ones(7, pad_mode="constant"), 14)
axes[2].plot([np.flatnonzero(row).max() for row in with_zeros], "s--", label="zeros")
axes[2].set(title="latest input that each output sees", xlabel="output", ylabel="input")
axes[2].title.set_fontsize(9)
axes[2].legend()
book.show("mirror")

# %%
assert last_seen[0] == 6 and last_seen[6:] == list(range(6, 14))
assert layer.needs(1) == 7  # the package's own account: inputs before the first output

# %% [markdown]
# The kernel of 7 has 6 samples of padding; so output 0 waits for input 6. Output 1 waits for input 5, which is there by
# then, and so on down to output 3; from output 6 on there is nothing left of the mirror, and the layer is as causal as
# any. Looking ahead costs time at the start, and never again. (At the *end* a signal is mirrored as well, to fill a
# last window. That needs only what is already there.)
#
# Now do the sum for the whole encoder. Walk from its last layer to its first. To have $n$ outputs, a layer of stride
# $s$ must have seen $ns$ inputs, and its mirror needs at least $k - s + 1$. The larger of the two is what the layer
# before it must deliver.

# %%
names, needed, n = [], [], 1
for layer in reversed(model.encoder.layers):
    # of a residual block: its first convolution
    convolution = getattr(layer, "first", layer)
    if isinstance(convolution, Conv1d):
        mirror = max(1, convolution.span - convolution.stride + 1)
        n = max(n * convolution.stride, mirror)
        names.append(f"kernel {convolution.kernel_size}, stride {convolution.stride}")
        needed.append(n)
assert n == model.encoder_delay == model.encoder.needs(1)
places = np.arange(len(names))

# %% tags=["hide-input"]
plt.figure(figsize=(8, 3.6))
bars = plt.barh(places, needed, color="C0")
plt.bar_label(bars, padding=4)
plt.yticks(places, names)
plt.gca().set(title="Inputs that each layer needs for the codec's first frame",
              xscale="log", ylabel="layer (the last at the bottom)",
              xlabel="inputs (logarithmic)", xlim=(1, 2 * max(needed)))
book.show("delay")

# %%
book.say(f"The first frame needs {n} samples, {1000 * n / rate:.1f} ms: {n // hop} "
         f"frames of {hop} samples. With zeros it would be {zeros.encoder_delay} "
         f"samples, {1000 * zeros.encoder_delay / rate:.1f} ms.")
assert n == config.last_kernel_size * hop and zeros.encoder_delay == hop

# %% [markdown]
# The bottom bar decides. The encoder's last convolution has a kernel of 7 *frames*, whose mirror needs 6 later frames;
# 7 frames are 93 ms. All the mirrors of the layers before fit into that time.
#
# Does the real network, all layers together, behave as the sum says? Poke it: change the sound in blocks of a quarter
# of a frame, and see which frames react, and how much.

# %%
block, length = hop // 4, 16 * hop
sound = np.ascontiguousarray(speech.T[27_000:27_000 + length])
before = model.encoder(sound)
reaction = np.empty((16, length // block))
for b in range(reaction.shape[1]):
    poked = sound.copy()
    poked[b * block:(b + 1) * block] += 0.05
    reaction[:, b] = np.linalg.norm(model.encoder(poked) - before, axis=1)

# %% tags=["hide-input"]
with np.errstate(divide="ignore"):
    plt.imshow(np.log10(reaction), extent=(0, 1000 * length / rate, 16, 0),
               origin="upper", cmap="viridis")
plt.colorbar(label="log10 of the change")
plt.plot([0, 1000 * length / rate], [0, 16], color="C1", linestyle="--")
plt.gca().set(title="Which frames react to which moment of sound",
              xlabel="time of the change (ms)", ylabel="frame")
book.show("encoder_map")

# %%
# samples up to the last that matters
reach = [(np.flatnonzero(row).max() + 1) * block for row in reaction]
assert reach[0] == model.encoder_delay
assert reach[6:] == [(f + 1) * hop for f in range(6, 16)]

# %% [markdown]
# The part above the diagonal is the mirror at work: frame 0 reacts to all of the first 93 ms, frame 1 to a little less.
# Below, the map ends at the dashed diagonal: from frame 6 on, a frame depends on nothing later than its own 320
# samples. To the left it fades without ending; that is the network's memory of the past.
#
# ## The delay, measured
#
# The decoder begins with a kernel of 7 as well, and its mirror waits for 7 frames. Do the two delays add up? No: both
# wait for the same sound. When the encoder has its first frame, it has the first seven, and hands them over together.
# Let us run the codec live, in small pieces, and see what comes out when.

# %%
encoder = model.streaming_encoder(bandwidth=6.0)
decoder = model.streaming_decoder(live=True)
step, fed, coded, heard = 80, [0], [0], [0]  # samples
for at in range(0, 16 * hop, step):
    codes = encoder.push(speech[:, at:at + step])
    fed.append(at + step)
    coded.append(coded[-1] + codes.shape[1] * hop)
    heard.append(heard[-1] + decoder.push(codes).shape[1])
as_ms = 1000 / rate

# %% tags=["hide-input"]
plt.step(np.array(fed) * as_ms, np.array(heard) * as_ms, where="post",
         label="sound given out")
plt.plot(np.array(fed) * as_ms, np.array(fed) * as_ms, ":", label="sound taken in")
plt.gca().set(title="A live codec's first 213 ms", xlabel="time since the start (ms)",
              ylabel="amount of sound (ms)")
plt.legend()
book.show("live")

# %%
first = next(i for i, amount in enumerate(heard) if amount)
assert coded == heard and fed[first] == model.encoder_delay == heard[first]
book.say(f"For {fed[first] * as_ms:.1f} ms nothing comes out. Then "
         f"{heard[first] * as_ms:.1f} ms of sound come out, "
         "and from there on one frame out for each frame in.")

# %% [markdown]
# So after 93 ms the codec has caught up, and from then on each frame comes out with its last sample, 13 ms after its
# first. A player that wants to play every sample, though, can only begin at 93 ms, and stays that much behind.
# Telephone engineers try to stay below 150 ms from mouth to ear (recommendation ITU-T G.114), so this is a noticeable
# part of what they have.
#
# ## In the paper, in the released code, and here
#
# [The paper](https://arxiv.org/abs/2210.13438) says in section 3.1 that the streamable model pads in front only, and
# gives out 320 samples (13 ms) "as soon as the first 320 samples (13 ms) are received". The released code and weights
# pad with a mirror, so for them the first 13 ms come out after 93 ms, as you have just seen; from then on the paper's
# 13 ms hold. With zeros in front, both would be the same:

# %%
assert zeros.encoder_delay == 320 and model.encoder_delay == 7 * 320

# %% [markdown]
# This package follows the released code, to the last sample.
#
# ## Summary
#
# - A stride of $s$ leaves one output in $s$. EnCodec's strides multiply to one frame per 320 samples.
# - $k - s$ samples of padding, and on the right as many as fill the last window, give $\lceil T/s \rceil$ outputs.
# - A causal layer pads in front only, and sees nothing later than its own place in time.
# - A mirror instead of zeros avoids a false silence before the onset, but the first outputs then need later samples.
# - For the 24 kHz model that is 7 frames, 93 ms, once, at the start; it comes from the last kernel of 7.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/03_stride_padding_causality.md), each behind a click.
#
# 1. *Easy.* How many outputs do 1003 samples give in a convolution with kernel 10 and stride 5? How many samples of
#    padding are on the left, and how many on the right, if it is causal?

# %%
outputs, left, right = ..., ..., ...
book.check("3.1", outputs, left, right)

# %% [markdown]
# 2. *Medium.* How long would the delay of the encoder be, in samples, if the last kernel were 3 instead of 7? And if
#    only the *last* convolution used zeros? Work it out first, then check by changing the code above.

# %%
with_kernel_3, with_zeros_at_the_end = ..., ...
book.check("3.2", with_kernel_3, with_zeros_at_the_end)

# %% [markdown]
# 3. *Harder.* Which inputs does output $t$ of a causal convolution with a mirror see, as a formula? Check it against
#    `dependencies` for several kernels and strides.

# %%
def sees(t, kernel, stride):
    """A list of the inputs that output t sees"""
    return ...


book.check("3.3", sees)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.layers.conv`: `pad` with both modes and the rule for signals shorter than their padding; `Conv1d` with
#   stride, dilation and causality; `needs` and `lead` say how much it must see first
# - `tinyencodec.layers.stack`: `needs` for layers in a row
# - `tinyencodec.codec.model`: `encoder_delay` and `decoder_delay`
