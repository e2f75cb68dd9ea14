# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 8 SEANet: the encoder and the decoder
#
# We have all the parts: convolutions with and without stride ([chapters 2](02_convolution.py) and
# [3](03_stride_padding_causality.py)), transposed convolutions ([4](04_transposed_convolution.py)), residual blocks
# ([6](06_elu_weightnorm_residual.py)) and the LSTM ([7](07_lstm.py)). In this chapter they become one network. Its
# shape is that of [SEANet](glossary.md#seanet), a network that cleans up speech: it first makes the signal slower and
# slower, then faster and faster again. EnCodec uses the first half as its encoder and the second as its decoder. SEANet
# also has connections that lead straight across from one half to the other. EnCodec leaves them out: everything must
# pass through the codes.
#
# **What you will see**
#
# - a sound on its way through sixteen layers, getting shorter in time and wider in channels
# - how far one latent frame can hear, computed and then measured by nudging samples
# - where the network's numbers are, and where its work is
# - the latent as a picture, beside the spectrogram of the same sentence
# - what the encoder and the decoder alone do to a sound, to hear

# %%
import book
import matplotlib.pyplot as plt
import numpy as np

import tinyencodec
from tinyencodec.codec.config import ENCODEC_24KHZ
from tinyencodec.layers.lstm import LSTM
from tinyencodec.layers.residual import ResidualBlock
from tinyencodec.models.tensors import expected_tensors

book.open_chapter()
model = tinyencodec.load_model()
speech = book.recording("speech")[0]

# %% tags=["remove-input"]
book.drawing("here", chapter=8)

# %% [markdown]
# ## Shorter and wider
#
# The recipe of the encoder fits into a few lines:
#
# 1. a convolution with kernel 7 turns the waveform into a few channels;
# 2. then four *stages*, with the strides 2, 4, 5 and 8. Each stage is a residual block, an ELU, and a convolution with
#    that stride $s$ and kernel $2s$, which *doubles* the number of channels;
# 3. two layers of LSTM, with a skip connection around them;
# 4. an ELU and a last convolution with kernel 7, which makes the vectors that [chapter 9](09_rvq.py) quantises.
#
# The strides multiply to $2 \cdot 4 \cdot 5 \cdot 8 = 320$: one output for 320 samples. That output is a
# [frame](glossary.md#frame) of the [latent](glossary.md#latent). "Latent" means hidden: nobody says what its numbers
# mean; training finds that out. In the package the encoder is just such a list of layers, so we can walk through it
# ourselves. Signals inside the network are stored as `[time, channels]`.

# %%
def walk(x, layers):
    """The outputs of all layers in turn, beginning with the input itself."""
    outputs = [x]
    for layer in layers:
        outputs.append(layer(outputs[-1]))
    return outputs


wav = speech[:, None]  # [T, 1]
outputs = walk(wav, model.encoder.layers)
latent = outputs[-1]
assert np.array_equal(latent, model.encoder(wav))  # the same numbers as in one go
assert len(latent) == -(-len(wav) // 320)  # T / 320, rounded up

# %%
def name_of(layer):
    stride = getattr(layer, "stride", 1)
    name = type(layer).__name__.replace("1d", "")
    return f"{name}, stride {stride}" if stride > 1 else name


table = ["| layer | | outputs per second | channels | numbers per second |",
         "|---|---|---|---|---|"]
rate = model.sample_rate
for i, (layer, y) in enumerate(zip(model.encoder.layers, outputs[1:])):
    rate = rate * layer.rate
    table.append(f"| {i} | {name_of(layer)} | {rate:g} | {y.shape[1]} | "
                 f"{rate * y.shape[1]:g} |")
book.say("\n".join(table))

# %%
seconds = len(wav) / model.sample_rate
steps = np.arange(len(outputs))
lengths, widths = np.array([y.shape for y in outputs]).T

# %% tags=["hide-input"]
plt.figure(figsize=(9, 3.6))
plt.step(steps, lengths / seconds, where="mid", label="time: outputs per second")
plt.step(steps, widths, where="mid", label="channels")
plt.step(steps, lengths / seconds * widths, where="mid", label="both: numbers per second")
plt.yscale("log")
plt.xticks(steps, ["sound", *(name_of(layer) for layer in model.encoder.layers)],
           rotation=60, ha="right", rotation_mode="anchor")
plt.gca().set(ylabel="number (log scale)", title="The encoder trades time for channels")
plt.legend(loc="center left")
plt.grid(True)
book.show("shapes")

# %% [markdown]
# Each stage divides the length by its stride $s$ and doubles the channels, so it multiplies the amount of numbers by $2
# / s$: the first stage keeps it, the others shrink it. The first convolution makes sixteen numbers of every sample,
# which is the most there ever are. Fewer numbers are not yet compression, since each has many digits. But the latent is
# slow enough to be written down frame by frame.
#
# The decoder is the same list in reverse: a convolution, the LSTM, then four stages, each with a *transposed*
# convolution (of stride 8, 5, 4, 2) and a residual block, and a last convolution back to one channel. It gives exactly
# 320 samples for each frame; what goes beyond the sound's length is cut off. Nothing follows the last convolution. Some
# drawings of EnCodec show a $\tanh$ there, which would keep the output within $\pm 1$; the released models have none.

# %%
back = walk(latent, model.decoder.layers)
assert len(back[-1]) == 320 * len(latent)
book.say("The decoder's outputs, from latent to sound: "
         + " → ".join(f"{t} × {c}" for t, c in dict.fromkeys(y.shape for y in back))
         + ".")

# %% [markdown]
# ## How far a frame hears
#
# The [receptive field](glossary.md#receptive-field) of an output is the stretch of input that it depends on. It can be
# computed layer by layer. Let $R$ be the receptive field so far, in samples, and $j$ the *jump*: how many samples lie
# between two neighbouring outputs of the layer. At the start both are 1. A convolution with kernel $k$ and stride $s$
# looks at $k$ neighbours, which are $j$ apart, so
#
# $$ R \leftarrow R + (k - 1)\, j, \qquad j \leftarrow j\, s $$

# %%
def receptive_fields(layers):
    """(R, j) in samples after each layer, not counting the LSTM."""
    reach, jump, rows = 1, 1, []
    for layer in layers:
        # its other convolutions have kernel 1
        conv = layer.first if isinstance(layer, ResidualBlock) else layer
        if hasattr(conv, "span"):  # span: the kernel's length with its dilation
            reach, jump = reach + (conv.span - 1) * jump, jump * conv.stride
        rows.append((reach, jump))
    return rows


fields = receptive_fields(model.encoder.layers)
reach, hop = fields[-1]
assert hop == model.hop_length == 320
book.say(f"After the last convolution a frame sees **{reach} samples**, "
         f"{1000 * reach / model.sample_rate:.0f} ms, and the next frame comes {hop} "
         f"samples later.")

# %% tags=["hide-input"]
plt.figure(figsize=(8, 3.8))
reaches = 1000 * np.array([field for field, _ in fields]) / model.sample_rate
plt.barh(range(len(fields)), -reaches, height=0.7)
plt.yticks(range(len(fields)), [name_of(layer) for layer in model.encoder.layers],
           fontsize=8)
plt.gca().invert_yaxis()
plt.gca().set(xlabel="time before the end of the frame (ms)",
              title="Receptive field of one output (memory of the LSTM not counted)")
plt.grid(True, axis="x")
book.show("receptive_field")

# %% [markdown]
# Most of it comes from the last convolution. A kernel of 7 spans seven samples in the first layer, but seven frames in
# the last. And the LSTM carries its memory from frame to frame, so with it a frame can in principle remember all of the
# past.
#
# A computed reach is a claim, and claims can be checked. We take noise, nudge one of its samples, and look at which
# frames change: with the LSTM, and without it.

# %%
noise = np.random.default_rng(0).standard_normal((40 * hop, 1)).astype(np.float32) * 0.1
at = 20 * hop + 100  # the sample that is nudged
nudged = noise.copy()
nudged[at] += 0.1
without = [layer for layer in model.encoder.layers if not isinstance(layer, LSTM)]
change = {}  # of each frame
for label, layers in (("with LSTM", model.encoder.layers), ("without LSTM", without)):
    moved = walk(nudged, layers)[-1] - walk(noise, layers)[-1]
    change[label] = np.abs(moved).max(axis=1)

# %% tags=["hide-input"]
for label, largest in change.items():
    plt.semilogy(np.where(largest > 0, largest, np.nan), ".-", label=label)
plt.gca().set(xlabel="frame", ylabel="largest change of the latent",
              title=f"Sample {at} is nudged", xlim=(14, 40))
plt.axvline(at / hop, color="#7d8590", linestyle=":", label="the nudged sample")
plt.legend()
book.show("nudge")

# %%
frames = np.flatnonzero(change["without LSTM"])
# of each of these frames; it sees `reach` samples up to this one
last_sample = frames * hop + hop - 1
assert frames[0] == at // hop  # causal: no earlier frame notices
assert (last_sample - reach < at).all() and frames[-1] == (at + reach - hop) // hop
book.say(f"Without the LSTM exactly frames {frames[0]} to {frames[-1]} change, as "
         f"computed. With it the change never quite ends, but fades.")

# %% [markdown]
# No frame before the nudge changes: the encoder is [causal](glossary.md#causal). Its frame $f$ needs the samples up to
# $320 f + 319$ and none beyond, except at the very beginning, where the mirrored padding makes a live encoder wait for
# seven frames ([chapter 3](03_stride_padding_causality.py)).

# %% [markdown]
# ## Where the numbers are, and where the work is
#
# A *parameter* is one trained number. A [multiply-add](glossary.md#multiply-add) is the step $a + b \cdot c$ of which
# convolutions and LSTM consist; counting these says how much work a network is. A convolution with $C$ input channels,
# $C'$ output channels and kernel $k$ has $k C C'$ weights, and uses each of them once for *each output in time*. So the
# work is the weights times the rate, and the rate is high where the channels are few.

# %%
def census(config):
    """{layer of the encoder: [trained numbers, millions of multiply-adds per second]}"""
    rate, rows = config.sampling_rate, {}
    strides = dict(zip((3, 6, 9, 12), config.upsampling_ratios[::-1]))  # of these layers
    for name, shape in expected_tensors(config).items():
        if not name.startswith("encoder."):
            continue
        layer, size = int(name.split(".")[2]), int(np.prod(shape))
        row = rows.setdefault(layer, [0, 0.0])
        row[0] += size
        if name.endswith("weight_v") or ".weight_" in name and "lstm" in name:
            rate //= strides.get(layer, 1)  # it works at the rate of its outputs
            row[1] += size * rate / 1e6
    return rows


ours, full = census(model.config), census(ENCODEC_24KHZ)
assert np.isclose(sum(work for _, work in ours.values()),
                  model.encoder.macs * model.sample_rate / 1e6)

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
names = [name_of(model.encoder.layers[i]) for i in full]
for axis, column, unit, title in ((axes[0], 0, 1e6, "numbers / million"),
                                  (axes[1], 1, 1, "million multiply-adds / s")):
    axis.barh(names_at := np.arange(len(names)),
              [row[column] / unit for row in full.values()])
    axis.set_yticks(names_at, names, fontsize=8)
    axis.set(xlabel=title)
axes[0].invert_yaxis()
axes[0].set_title("What must be stored")
axes[1].set_title("What must be computed")
book.show("census")

# %%
total = {name: np.sum(list(rows.values()), axis=0)
         for name, rows in ((model.name, ours), ("encodec_24khz", full))}
lines = ["| encoder of | filters | million numbers | million multiply-adds a second |",
         "|---|---|---|---|"]
for (name, (numbers, work)), filters in zip(total.items(),
                                            (model.config.num_filters, 32)):
    lines.append(f"| {name} | {filters} | {numbers / 1e6:.2f} | {work:.0f} |")
book.say("\n".join(lines))

# %% [markdown]
# The figure is for the official model, which begins with 32 channels; the bundled one has the same layers with half the
# channels. The LSTM, the strided convolution before it and the last convolution hold more than nine tenths of the
# numbers. The work is spread much more evenly: an early layer has few weights but uses them thousands of times a
# second.

# %%
assert sum(full[i][0] for i in (12, 13, 15)) > 0.9 * total["encodec_24khz"][0]
# the LSTM: more than half of the numbers
assert full[13][0] > 0.5 * total["encodec_24khz"][0]
assert full[13][1] < 0.3 * total["encodec_24khz"][1]  # and less than a third of the work
# the first layers, up to the stride of 4: few numbers
assert sum(full[i][0] for i in (0, 1, 3, 4, 6)) < 0.03 * total["encodec_24khz"][0]
# but a good part of the work
assert sum(full[i][1] for i in (0, 1, 3, 4, 6)) > 0.2 * total["encodec_24khz"][1]

# %% [markdown]
# ## What the latent looks like
#
# Below is the sentence twice: as a spectrogram ([chapter 1](01_sound_as_numbers.py)), and as the encoder's output.
# The channels of a latent have no order of their own, so we show the 32 that vary most. The green line is the
# frame that we follow.

# %%
shown = latent[:, np.argsort(latent.std(axis=0))[-32:]]  # by rising standard deviation
level, extent = book.spectrogram(speech, 24_000)

# %% tags=["hide-input"]
_, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
image = axes[0].imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
plt.colorbar(image, ax=axes[0], label="level (dB)")
axes[0].set(ylabel="frequency (kHz)", title="Spectrogram", ylim=(0, 8))
limit = np.percentile(np.abs(shown), 98)
image = axes[1].imshow(shown.T, extent=(0, len(latent) * hop / 24_000, 0, 32),
                       cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
plt.colorbar(image, ax=axes[1], label="value")
for axis in axes:
    axis.axvline((book.FRAME + 0.5) / 75, color="C2", linewidth=1)
axes[1].set(xlabel="time (s)", ylabel="channel, by size",
            title="Latent, 32 of 128 channels")
book.show("latent")

# %% [markdown]
# And this is the whole of our frame, number 62: its 320 samples have become these 128 numbers.

# %%
followed = latent[book.FRAME]
assert followed.shape == (128,)

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.2))
plt.bar(np.arange(128), followed)
plt.gca().set(title=f"The latent of frame {book.FRAME}", xlabel="channel", ylabel="value")
book.show("followed")

# %% [markdown]
# In the two pictures above, pauses, syllables and their edges appear at the same times. But the latent has no frequency
# axis. And unlike a spectrogram it keeps the *phase*, that is, where in its swing each wave is. So the decoder can
# follow the waveform itself. How well? We send the latent straight into the decoder, with no quantiser in between.

# %%
straight = back[-1][:len(speech), 0]
coded = model.decode(model.encode(speech[None], bandwidth=6.0), len(speech))[0]
book.play(24_000, original=speech, no_quantiser=straight, at_6_kbit_s=coded)

# %%
part = slice(24_000, 24_480)  # 20 ms
time = 1000 * np.arange(part.start, part.stop) / 24_000

# %% tags=["hide-input"]
for label, y in (("original", speech), ("no quantiser", straight), ("6 kbit/s", coded)):
    plt.plot(time, y[part], label=label)
plt.gca().set(xlabel="time (ms)", ylabel="amplitude", title="20 ms of the sentence")
plt.legend()
book.show("waveforms")

# %%
book.claim(book.snr(speech, straight) > book.snr(speech, coded) - 1,
           "without the quantiser the copy is not worse")
book.say(f"Without a quantiser the signal-to-noise ratio is "
         f"{book.snr(speech, straight):.1f} dB, with the quantiser at 6 kbit/s "
         f"{book.snr(speech, coded):.1f} dB.")

# %% [markdown]
# The first figure is not quite the best that such an encoder and decoder could do. In the last part of its training,
# this decoder saw only quantised latents, and it has learnt to expect their errors.
#
# ## In the paper, and here
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, has these layers with $C = 32$ filters; the model of this
# book has 16. (In the residual blocks, the paper gives both convolutions a kernel of 3. In the released models the
# second has a kernel of 1, and so it is here.) The paper tried 16 filters too (Table A.3). At 6 kbit/s they cost
# little: SI-SNR, a signal-to-noise ratio, falls from 6.67 to 6.40 dB, and ViSQOL, a prediction of the listener's
# verdict on a scale that ends near 5, from 4.35 to 4.32. Encoding is 2.7 times as fast.
#
# On other test sounds, our model has about 9 dB of SI-SNR at 6 kbit/s, but a ViSQOL of only 3.8 for speech and 3.5 for
# music ([Results](results.md)). It follows the waveform, and is rough to the ear. It was trained for hours on one
# processor core, by losses that favour the waveform, and without the adversary of [chapter 14](14_training.py). The
# paper's models were trained with one, for 600 000 steps on eight GPUs.
#
# ## Summary
#
# - The encoder is a list: a convolution, four stages that divide the time by 2, 4, 5, 8 and double the channels, the
#   LSTM, a last convolution. The decoder is its mirror image.
# - One frame stands for 320 samples. Its convolutions see a few thousand samples of the past and none of the future,
#   except for the mirrored padding at the very start.
# - The late layers hold most of the numbers. The early layers have few, but use them so often that they do a good part
#   of the work.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/08_seanet.md), each behind a click.
#
# 1. *Easy.* The 32 kHz model has the strides 4, 4, 5, 8. How many samples and milliseconds is one of its frames, and
#    how many samples does a frame see? Use only the formula for $R$ and $j$.

# %%
samples, ms, seen_by_a_frame = ..., ..., ...
book.check("8.1", samples, ms, seen_by_a_frame)

# %% [markdown]
# 2. *Medium.* If the number of filters of `ENCODEC_24KHZ` is halved, by which factors do numbers and work of the
#    encoder shrink? Compute it with `census`, and explain why it is not exactly four.

# %%
fewer_numbers, less_work = ..., ...
book.check("8.2", fewer_numbers, less_work)

# %% [markdown]
# 3. *Harder.* Shift the sentence by 320 samples. Is the latent just shifted by one frame? Plot the difference over
#    time, with and without the LSTM, and explain both curves. How many frames differ without the LSTM?

# %%
frames_that_differ = ...
book.check("8.3", frames_that_differ)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.codec.seanet`: the two lists of layers; `tinyencodec.layers.residual`: the block in each stage.
# - `tinyencodec.layers.stack`: layers in a row, at once or piece by piece; `needs` computes the delay measured above.
# - `tinyencodec.layers.tiles`, `tinyencodec.system.threads`: the same stack fed in tiles that fit the cache, by
#   several threads.
# - `tinyencodec.models.tensors`: names and shapes of all numbers.
