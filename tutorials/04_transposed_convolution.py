# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 4 Transposed convolution
#
# The encoder turns 24 000 samples a second into 75 frames. The decoder must go back up to 24 000. Its tool is a
# convolution with input and output exchanged, and it has a weakness that you can hear.
#
# **What you will see**
#
# - copies of a kernel, laid next to each other and added up
# - that this really is a convolution "transposed", as two pictures
# - tones that were never in the signal: why they arise, at which pitch, and how they sound
# - the same tones in the output of a codec
# - the trick that turns a transposed convolution into an ordinary one, and what is cut off at the end

# %%
import book
import numpy as np
from matplotlib import pyplot as plt

import tinyencodec
from tinyencodec.layers.conv import Conv1d
from tinyencodec.layers.conv_transpose import ConvTranspose1d

book.open_chapter()
rate = 24_000  # Hz
rng = np.random.default_rng(0)

# %% tags=["remove-input"]
book.drawing("here", chapter=4)

# %% [markdown]
# ## Adding copies
#
# A convolution *collects*: each output gathers a window of inputs. A [transposed
# convolution](glossary.md#transposed-convolution) *hands out*: each input lays a copy of the kernel into the output,
# multiplied by that input, and the next copy begins a stride of $s$ samples later. Where copies overlap, they add up:
#
# $$ y_{ts + j} \mathrel{+}= x_t\, w_j, \qquad 0 \le j < k. $$
#
# With a stride of 4, four outputs come from each input: the signal gets four times as many samples. Adding up
# overlapping pieces like this is known as [overlap-add](glossary.md#overlap-add).

# %%
def overlap_add(x, w, stride):
    """[T], [k] -> [(T - 1) * stride + k]"""
    y = np.zeros((len(x) - 1) * stride + len(w))
    for t, value in enumerate(x):
        y[t * stride:t * stride + len(w)] += value * w
    return y


stride, hill = 4, np.hanning(10)[1:-1]  # a kernel of 8, twice the stride
x = np.array([1.0, 0.4, -0.8, -0.3, 0.9])
y = overlap_add(x, hill, stride)

# %% tags=["hide-input"]
for t, value in enumerate(x):
    plt.fill_between(np.arange(t * stride, t * stride + 8), value * hill, alpha=0.35,
                     label=f"copy of input {t}")
plt.plot(y, "o-", color="C5", markersize=3, label="sum")
plt.gca().set(title="Five inputs, stride 4, kernel of 8", xlabel="output sample",
              ylabel="value", ylim=(-1, 1.6))
plt.legend(ncols=3, fontsize=8)
book.show("copies")

# %% [markdown]
# ## Why "transposed"
#
# Any layer of this kind is linear: its output is a matrix times its input. The dependency maps of [chapter
# 3](03_stride_padding_causality.py) drew that matrix, one row for each output. Here it is for a convolution of kernel 4
# and stride 2, and beside it for a transposed convolution of the same kernel and stride. One is the other with rows and
# columns exchanged: transposed.

# %%
kernel = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
down = Conv1d(kernel[None, None], np.zeros(1, np.float32), stride=2)
collect = np.stack([down.valid(pulse[:, None])[:, 0]
                    for pulse in np.eye(14, dtype=np.float32)], axis=1)
hand_out = np.stack([overlap_add(pulse, kernel, 2) for pulse in np.eye(6)], axis=1)
assert np.array_equal(hand_out, collect.T)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=(2, 1))
for axis, matrix, title in ((axes[0], collect, "convolution"),
                            (axes[1], hand_out, "transposed")):
    image = axis.imshow(np.where(matrix > 0, matrix, np.nan), cmap="viridis",
                        origin="upper", aspect="equal")
    axis.set(title=f"{title}: {matrix.shape[1]} in, {matrix.shape[0]} out",
             xlabel="input", ylabel="output")
fig.colorbar(image, label="weight", shrink=0.8)
book.show("transposed")

# %% [markdown]
# Transposed does not mean inverse. Going down and up again does not give the signal back; it only has the right
# *shape*. Undoing what the encoder did is something that the decoder's weights have to learn.
#
# Still, the picture tells much. A row of the right-hand matrix is what one output collects. There are two kinds of
# rows, which alternate: even outputs use the weights 3 and 1, odd ones 4 and 2. In general there are $s$ kinds, the
# *phases*. Each phase is a small convolution of its own, and nothing makes the phases agree.
#
# ## Tones from nowhere
#
# Feed in a constant, all ones. What should come out is a constant. What does come out is, for phase $p$, the sum of its
# weights:
#
# $$ S_p = w_p + w_{p+s} + w_{p+2s} + \dots $$
#
# If these sums differ, the output goes up and down with a period of $s$ samples, for ever. In images such a pattern is
# called a [checkerboard](glossary.md#checkerboard-artefact). In sound, what repeats is a tone.

# %%
stride = 8
box = np.ones(8)  # each input repeated eight times
# a straight line from one input to the next
triangle = 1 - np.abs(np.arange(-7.5, 8)) / 8
uneven = triangle * (1 + 0.3 * rng.standard_normal(16))  # as training might leave it
kernels = {"box": box, "triangle": triangle, "uneven": uneven}
sums = {name: w.reshape(-1, stride).sum(axis=0) for name, w in kernels.items()}  # S_p
assert np.ptp(sums["box"]) == 0
assert np.ptp(sums["triangle"]) < 1e-12
assert np.ptp(sums["uneven"]) > 0.1

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True)
for axis, (name, w) in zip(axes, kernels.items()):
    axis.plot(overlap_add(np.ones(12), w, stride), label="output")
    axis.plot(w, color="0.6", label="kernel")
    axis.set(title=f"{name}: kernel of {len(w)}, stride 8", xlabel="output sample")
axes[0].set_ylabel("value")
axes[0].legend(fontsize=8, loc="lower right")
book.show("constant_in")

# %% [markdown]
# At the ends there is only one copy, hence the slopes. In between, box and triangle are flat, because their phase sums
# are equal; the uneven kernel ripples. A kernel whose length is not a multiple of the stride ripples even with equal
# weights: a kernel of 5 with stride 2 lays three copies on one output and two on the next. EnCodec's kernels are
# exactly twice the stride. That removes this one cause. The other, unequal sums, only training can remove.
#
# Which tones? A ripple of period $s$ at an output rate of $R$ has the frequency $R/s$ and, since it is not a pure sine,
# multiples of it as well. $R/s$ is simply the *input's* rate. A signal at 3 kHz brought to 24 kHz gets tones at 3, 6, 9
# and 12 kHz.
#
# And a signal that is not constant? It is mirrored around each of those tones: what was at 200 Hz shows up at 2.8 and
# 3.2 kHz, at 5.8 and 6.2 kHz, and so on. These are its *images*, the counterpart of [chapter
# 1](01_sound_as_numbers.py)'s aliasing. To see them, put seven zeros after each sample of a tone of 200 Hz. That is a
# step up by 8 before any kernel has smoothed the result:

# %%
tone = np.cos(2 * np.pi * 200 * np.arange(300) / 3000)  # 0.1 s at 3 kHz
spread = np.zeros(2400)
spread[::8] = tone  # at 24 kHz
spikes = np.abs(np.fft.rfft(spread)) / 150
found = np.flatnonzero(spikes > 0.5) * 10  # Hz
assert list(found) == [200, 2800, 3200, 5800, 6200, 8800, 9200, 11_800]

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2))
plt.plot(np.arange(1201) / 100, spikes)
for at in (3, 6, 9, 12):
    plt.axvline(at, color="0.6", linewidth=0.7, linestyle="--")
plt.gca().set(title="A tone of 200 Hz and its images (dashed: multiples of 3 kHz)",
              xlabel="frequency (kHz)", ylabel="level")
book.show("spikes")

# %% [markdown]
# The kernel is a filter ([chapter 2](02_convolution.py)), and what it lets through at those frequencies is what remains
# of them.

# %%
frequency = np.fft.rfftfreq(2400, 1 / rate) / 1000  # kHz
responses = {name: np.fft.rfft(w, 2400) / stride
             for name, w in (("box", box), ("triangle", triangle), ("uneven", uneven))}
for name, response in responses.items():
    at_tones = np.abs(response[300::300])  # 3, 6, 9, 12 kHz
    # no tones: equal phase sums, and the reverse
    assert (at_tones.max() < 1e-9) == (np.ptp(sums[name]) < 1e-9)

# %% tags=["hide-input"]
for name, response in responses.items():
    plt.plot(frequency, book.decibels(response, floor=-80), label=name)
for tone in (3, 6, 9, 12):
    plt.axvline(tone, color="0.6", linewidth=0.7, linestyle="--")
plt.gca().set(title="What each kernel lets through (dashed: where the tones are)",
              xlabel="frequency (kHz)", ylabel="gain (dB)", ylim=(-80, 15))
plt.legend(ncols=3)
book.show("kernels")

# %% [markdown]
# Box and triangle let nothing through at exactly 3, 6, 9 and 12 kHz, so a constant leaves no trace. The uneven kernel
# does. Beside those points all three are leaky; the triangle is the least.
#
# Now for real sound. We take speech at 3 kHz and bring it to 24 kHz with each kernel. To bring out the tones, we add a
# constant to the input, as the biases of a network do. It is as large as the speech is loud, and is removed afterwards.

# %%
low = tinyencodec.convert_audio(book.recording("speech", rate), rate, 3000,
                                1)[0, 4500:12_000]
offset = np.std(low)
sounds = {}
for name, w in kernels.items():
    raised = overlap_add(low + offset, w, stride)
    sounds[name] = raised - np.mean(raised)
ideal = tinyencodec.convert_audio(low[None], 3000, rate, 1)[0]
book.play(rate, resampled=ideal, **sounds)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 4, figsize=(10, 3), sharey=True)
for axis, (name, sound) in zip(axes, {"resampled": ideal, **sounds}.items()):
    picture, extent = book.spectrogram(sound, rate)
    image = axis.imshow(picture, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=name, xlabel="time (s)")
axes[0].set_ylabel("frequency (kHz)")
fig.colorbar(image, label="level (dB)")
book.show("images")

# %% [markdown]
# On the left is how it should be: nothing above 1.5 kHz. The box is full of images, which sound metallic. The
# triangle's are weak. And the uneven kernel adds lines that never stop, not even in the pauses: a whistle.
#
# ## In the codec
#
# The decoder goes up by 8, 5, 4 and 2: from 75 to 600, 3000, 12 000 and 24 000 moments a second. If its kernels are
# uneven, we must look for tones at multiples of those *input* rates, 75, 600, 3000 and 12 000 Hz. Here is a part of the
# average spectrum of a coded guitar, beside the original's.

# %%
model = tinyencodec.load_model()
guitar = book.recording("guitar", rate)
[frames] = model.encode(guitar, bandwidth=6.0)
coded = model.decode([frames], length=guitar.shape[1])[0]
levels = {}
for name, sound in {"original": guitar[0], "coded at 6 kbit/s": coded}.items():
    picture, _ = book.spectrogram(sound, rate, window=4096)
    levels[name] = 10 * np.log10(np.mean(10 ** (picture / 10), axis=1))

# %% tags=["hide-input"]
for name, level in levels.items():
    plt.plot(np.arange(2049) * rate / 4096 / 1000, level, label=name, linewidth=0.9)
for tone in np.arange(0.075, 12, 0.075):
    of_600 = round(1000 * tone) % 600 == 0
    plt.axvline(tone, color="C3" if of_600 else "0.6", linewidth=0.6, linestyle="--")
plt.gca().set(title="Average spectrum (dashed: multiples of 75 Hz; pink: of 600 Hz)",
              xlabel="frequency (kHz)", ylabel="level (dB)", xlim=(1.6, 3.2),
              ylim=(-95, -45))
plt.legend(loc="lower center", bbox_to_anchor=(0.5, -0.42), ncols=2)
book.show("codec_tones")

# %% [markdown]
# A comb! The original has lines of its own, the notes. In this range, the copy has a line at *every* multiple of 75 Hz,
# the frame rate: the decoder repeats one pattern in each frame. How far do the lines stand out from what lies within 60
# Hz of them, where no neighbouring line is?

# %%
def stands_out(level, frequency):
    """By how many dB a line exceeds what is usual within 60 Hz of it."""
    at = round(frequency * 4096 / rate)
    return level[at - 1:at + 2].max() - np.median(level[at - 10:at + 11])


tones = np.arange(1200, 6001, 75)
heights = {name: np.array([stands_out(level, tone) for tone in tones])
           for name, level in levels.items()}
of_600 = tones % 600 == 0
original, copy = heights.values()
assert copy[~of_600].mean() > original[~of_600].mean() + 2  # the comb of 75 Hz
assert copy[(tones > 1600) & (tones < 3200)].min() > 2  # at every multiple
line = np.array([levels["coded at 6 kbit/s"][round(tone * 4096 / rate)
                                             + np.arange(-1, 2)].max() for tone in tones])
above = np.mean([line[i] - (line[i - 1] + line[i + 1]) / 2
                 for i in np.flatnonzero(of_600)[1:-1]])
book.say(f"Between 1.2 and 6 kHz, multiples of 75 Hz stand out by "
         f"{copy[~of_600].mean():.1f} dB in the coded guitar, and by "
         f"{original[~of_600].mean():.1f} dB in the original. Multiples of 600 Hz are "
         f"{abs(above):.1f} dB {'higher' if above > 0 else 'lower'} than the lines "
         f"beside them.")

# %% tags=["hide-input"]
for name, height in heights.items():
    plt.plot(tones / 1000, height, ".-", label=name)
plt.plot(tones[of_600] / 1000, copy[of_600], "o", color="C3", label="multiples of 600 Hz")
plt.gca().set(title="How far multiples of 75 Hz stand out", xlabel="frequency (kHz)",
              ylabel="above surroundings (dB)", ylim=(None, 34))
plt.legend(ncols=3, fontsize=8, loc="upper center")
book.show("stand_out")

# %% [markdown]
# Does the decoder make this comb? Let us give it the same latent vector again and again, so that nothing changes from
# frame to frame.

# %%
same = np.tile(model.latents_of(frames.codes)[:, 100:101], 300)  # [D, 300]
last_frames = model.decode_latents(same)[0].reshape(300, 320)[-20:]
assert np.ptp(last_frames, axis=0).max() < 1e-5 < 0.01 < last_frames.std()

# %% [markdown]
# What comes out is one pattern of 320 samples, the same in each frame: a tone of 75 Hz with all its multiples.
#
# So the roughness of the coded sounds has a pitch, 75 Hz. It begins in the first transposed convolution. Only there do
# the moments of a frame belong to different phases; the later ones have at least 600 inputs a second, and by themselves
# can only add multiples of 600 Hz. How strong such a comb is depends on how long a codec was trained, and on what it
# was trained for. Training can weaken a comb only if its measure of error, the *loss*, looks at frequency bands
# narrower than 75 Hz; the mel bands in common use are wider ([chapter 14](14_training.py)). EnCodec also trains against
# a second network, which learns to tell copies from recordings and looks at finer spectra. The model that you hear in
# this book was trained without one, as its card says (`weights/tiny_24khz/README.md`).
#
# ## A convolution in disguise
#
# Handing out is awkward to compute: copies are written on top of each other. Look at it from the output's side instead.
# With a kernel of $k = 2s$, the outputs from $ts$ to $ts + s - 1$, *block* $t$, get something from two inputs only:
# from input $t$ the first half of its copy, from input $t-1$ the second half of its copy. So a block depends on a
# window of two inputs:
#
# $$ \text{block}_t = x_{t-1}\, w_{s \dots 2s-1} + x_t\, w_{0 \dots s-1}. $$
#
# That is a plain convolution of kernel 2 and stride 1, with $s$ output channels. We only have to read its channels as
# the $s$ samples of the block, one after another. In time-major memory they already lie in that order, so there is
# nothing left to do.

# %%
c_in, c_out, s = 6, 3, 4
x = rng.standard_normal((50, c_in), dtype=np.float32)
# [C_in, C_out, kernel]: input channels first
w = rng.standard_normal((c_in, c_out, 2 * s), dtype=np.float32)
b = rng.standard_normal(c_out, dtype=np.float32)

halves = w[:, :, s:], w[:, :, :s]  # for the input before, and for the present one
matrix = np.concatenate([half.transpose(0, 2, 1).reshape(c_in, s * c_out)
                         for half in halves])
# x[t - 1]; silence before the first
before = np.concatenate([np.zeros((1, c_in), np.float32), x[:-1]])
blocks = np.concatenate([before, x], axis=1) @ matrix  # [T, 2 * C_in] -> [T, s * C_out]
y = blocks.reshape(-1, c_out) + b  # [T * s, C_out]

direct = np.zeros((51 * s, c_out))
for t in range(50):
    direct[t * s:(t + 2) * s] += np.einsum("c,cok->ko", x[t], w)
assert np.allclose(y, direct[:50 * s] + b, atol=1e-4)
layer = ConvTranspose1d(w, b, stride=s)
assert np.allclose(y, layer(x), atol=1e-4) and layer(x).shape == (50 * s, c_out)

# %% [markdown]
# Note two details. The bias is added once to each output, not once with each copy. And the full output is $k - s$
# samples longer than $T s$: its end, the tail of the last copy, is cut off. A causal decoder cuts only there. Then
# output block $t$ needs no input after $t$, and a decoder that works live can give out block $t$ as soon as input $t$
# is there. (A codec that need not be causal cuts half on each side, so that copies stay centred.)

# %%
one, no_bias = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
pulse = np.zeros((7, 1), np.float32)
pulse[[0, 3, 6]] = one

# %% tags=["hide-input"]
labels = {True: "causal: cut at the end", False: "not causal: cut at both ends"}
for offset, (causal, label) in enumerate(labels.items()):
    up = ConvTranspose1d(hill[None, None], no_bias, stride=4, causal=causal)
    plt.plot(up(pulse)[:, 0] - 1.3 * offset, "o-", markersize=3, label=label)
plt.vlines([0, 12, 24], -1.5, 1.1, color="0.6", linewidth=0.7, linestyle="--",
           label="place of the inputs")
plt.gca().set(title="Three pulses, stride 4, kernel of 8, seven inputs",
              xlabel="output sample", ylabel="value (shifted)", ylim=(-1.6, 1.8))
plt.legend(fontsize=8, ncols=3)
book.show("trimming")

# %% [markdown]
# ## In the paper
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, says of the decoder only that it "mirrors" the encoder,
# with transposed convolutions in place of strided ones. Against artefacts it relies on its losses, among them a
# discriminator that sees complex spectra (section 3.4).
#
# ## Summary
#
# - A transposed convolution lays a copy of its kernel into the output for each input, $s$ samples apart, and adds up.
# - Its matrix is that of a convolution, transposed. It is not the inverse.
# - If the $s$ phases of the kernel have different sums, a constant turns into tones at multiples of the input's rate.
# - EnCodec's kernels are twice as long as the stride, so that each output gets the same number of copies.
# - Block by block it is a plain convolution over neighbouring inputs, and runs on the same matrix product.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/04_transposed_convolution.md), each behind a click.
#
# 1. *Easy.* A decoder goes up by 4 and then by 2, to 16 kHz. At which frequencies can its two layers put tones, images
#    of tones included?

# %%
frequencies = ...  # a list, in Hz
book.check("4.1", frequencies)

# %% [markdown]
# 2. *Medium.* Take the `uneven` kernel and change it as little as you can so that a constant makes no tones. Show that
#    it worked.

# %%
def repaired(kernel, stride):
    """[2 * stride] -> [2 * stride]"""
    return ...


book.check("4.2", repaired)

# %% [markdown]
# 3. *Harder.* Bring the speech from 3 kHz to 24 kHz in three layers of stride 2 instead of one of stride 8, each with a
#    triangle of 4. Compare the spectrograms. Which tones and images remain?

# %%
def in_three_steps(x):
    """[T] at 3 kHz -> at 24 kHz, with all that `overlap_add` gives"""
    return ...


book.check("4.3", in_three_steps)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.layers.conv_transpose`: the layer; `_block_matrix` is the disguise for any kernel and stride
# - `tinyencodec.codec.seanet`: the decoder, with one transposed convolution per stage
# - `tinyencodec.kernels.gemm`: the product of matrices that both kinds of convolution share
