# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 8 SEANet: the encoder and the decoder
#
# All parts are on the table: convolutions with and without stride ([chapters 2](02_convolution.py) and
# [3](03_stride_padding_causality.py)), transposed convolutions ([4](04_transposed_convolution.py)), residual blocks
# ([6](06_elu_weightnorm_residual.py)) and the LSTM ([7](07_lstm.py)). In this chapter they become one network. Its
# shape is called [SEANet](glossary.md#seanet), after the paper that proposed it for cleaning up speech; EnCodec uses it
# twice, as encoder and, mirrored, as decoder.
#
# **What you will see**
#
# - a sound on its way through sixteen layers, getting shorter and wider
# - how far one latent frame can hear, computed and then measured by nudging samples
# - where the numbers and the work of the network are: at opposite ends
# - the latent as a picture, beside the spectrogram of the same sentence
# - what encoder and decoder alone do to a sound, heard

# %%
import book
import matplotlib.pyplot as plt
import numpy as np

import tinyencodec
from tinyencodec.codec.config import ENCODEC_24KHZ
from tinyencodec.codec.seanet import ResidualBlock
from tinyencodec.layers.lstm import LSTM
from tinyencodec.models.tensors import expected_tensors

book.open_chapter()
model = tinyencodec.load_model()
speech = book.recording("speech")[0]

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
# [frame](glossary.md#frame) of the [latent](glossary.md#latent), "latent" for hidden: nobody says what its numbers
# mean, training finds out. In the package the encoder is just such a list of layers, so we can walk along it ourselves.
# Signals inside are stored as `[time, channels]`.

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
plt.figure(figsize=(9, 3.6))
plt.step(steps, lengths / seconds, where="mid", label="time: outputs per second")
plt.step(steps, widths, where="mid", label="channels")
plt.step(steps, lengths / seconds * widths, where="mid", label="both: numbers per second")
plt.yscale("log")
plt.xticks(steps, ["sound", *(name_of(layer) for layer in model.encoder.layers)],
           rotation=60, ha="right")
plt.gca().set(ylabel="number (log scale)", title="The encoder trades time for channels")
plt.legend(loc="center left")
plt.grid(True)
book.show("shapes")

# %% [markdown]
# Each stage divides the length by its stride $s$ and doubles the channels, so the amount of numbers is multiplied by
# $2 / s$: the first stage keeps it, the others shrink it. The widest place is right after the first convolution. Fewer
# numbers is not yet compression, since each has many digits. But the latent is at last slow enough to be written down
# frame by frame.
#
# The decoder is the same list in reverse: a convolution, the LSTM, then four stages with a *transposed* convolution of
# stride 8, 5, 4, 2 and a residual block each, and a last convolution back to one channel. It gives exactly 320 samples
# for each frame; what goes beyond the sound's length is cut off. It ends with this convolution. Some drawings of
# EnCodec show a $\tanh$ behind it, which would keep the output within $\pm 1$; the released models have none.

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
# computed layer by layer. Let $R$ be the receptive field so far, and $j$ the *jump*, how many input samples lie between
# two neighbours in the present layer. At the start both are 1. A convolution with kernel $k$ and stride $s$ looks at
# $k$ neighbours, which are $j$ apart, so
#
# $$ R \leftarrow R + (k - 1)\, j, \qquad j \leftarrow j\, s $$

# %%
def receptive_fields(layers):
    """(R, j) in samples behind each layer, taking no notice of the LSTM."""
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
book.say(f"Behind the last convolution a frame sees **{reach} samples**, "
         f"{1000 * reach / model.sample_rate:.0f} ms, and is {hop} samples after the one "
         f"before.")

# %%
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
# Most of it comes from the last convolution: a kernel of 7 is little at first, but at the end it spans seven frames.
# And the LSTM carries on from frame to frame, so with it a frame can in principle remember all of the past.
#
# A computed reach is a claim, and claims can be checked. We nudge one sample of a noise and look which frames change:
# with the LSTM, and with the LSTM left out.

# %%
noise = np.random.default_rng(0).standard_normal((40 * hop, 1)).astype(np.float32) * 0.1
at = 20 * hop + 100  # the sample that is nudged
nudged = noise.copy()
nudged[at] += 0.1
without = [layer for layer in model.encoder.layers if not isinstance(layer, LSTM)]
for label, layers in (("with LSTM", model.encoder.layers), ("without LSTM", without)):
    # of each frame
    change = np.abs(walk(nudged, layers)[-1] - walk(noise, layers)[-1]).max(axis=1)
    plt.semilogy(np.where(change > 0, change, np.nan), ".-", label=label)
plt.gca().set(xlabel="frame", ylabel="largest change of the latent",
              title=f"Sample {at} is nudged", xlim=(14, 40))
plt.axvline(at / hop, color="#7d8590", linestyle=":", label="the nudged sample")
plt.legend()
book.show("nudge")

# %%
frames = np.flatnonzero(change)  # without the LSTM
# of each of these frames; it sees `reach` samples up to this one
last_sample = frames * hop + hop - 1
assert frames[0] == at // hop  # causal: no earlier frame notices
assert (last_sample - reach < at).all() and frames[-1] == (at + reach - hop) // hop
book.say(f"Without the LSTM exactly frames {frames[0]} to {frames[-1]} change, as "
         f"computed. With it the change never quite ends, but fades.")

# %% [markdown]
# No frame before the nudge changes: the encoder is [causal](glossary.md#causal). Its frame $f$ needs the samples up to
# $320 f + 319$ and none beyond. With one exception, at the very beginning. There the padding is a mirror image
# ([chapter 3](03_stride_padding_causality.py)), and a mirror shows what comes *later*. A map of who depends on whom
# makes it visible: we nudge each stretch of 320 samples in turn.

# %%
n = 16
clean = walk(noise[:n * hop], without)[-1]
depends = np.zeros((n, n))  # [frame, stretch]
for stretch in range(n):
    nudged = noise[:n * hop].copy()
    nudged[stretch * hop:(stretch + 1) * hop] += 0.1
    depends[:, stretch] = np.abs(walk(nudged, without)[-1] - clean).max(axis=1)

plt.figure(figsize=(5, 4))
plt.imshow(np.log10(np.where(depends > 0, depends, np.nan)), cmap="viridis",
           origin="upper")
plt.colorbar(label="change of the latent (log10)")
plt.gca().set(xlabel="nudged stretch of 320 samples", ylabel="frame",
              title="Who depends on whom (no LSTM)")
book.show("dependencies")

# %%
# the last stretch that each frame depends on
later = [np.flatnonzero(row)[-1] for row in depends]
assert later[0] == 6 and later[6:] == list(range(6, n))
assert model.encoder_delay == 7 * hop
book.say(f"The first frame depends on {later[0]} stretches behind its own, since the "
         f"last convolution pads with six mirrored frames. So a live encoder must have "
         f"{model.encoder_delay} samples, "
         f"{1000 * model.encoder_delay / model.sample_rate:.0f} ms, before it may say "
         f"anything. From then on each 320 samples bring a frame at once.")

# %% [markdown]
# ## Where the numbers are, and where the work is
#
# A *parameter* is one trained number. A [multiply-add](glossary.md#multiply-add) is the step $a + b \cdot c$ of which
# convolutions and LSTM consist; counting these says how much work a network is. A convolution with $C$ input channels,
# $C'$ output channels and kernel $k$ has $k C C'$ weights, and uses each of them once *per output*. So the work is the
# weights times the rate, and the rate is high where the channels are few.

# %%
def census(config):
    """{layer of the encoder: [trained numbers, millions of multiply-adds per second]}"""
    rate, rows = config.sampling_rate, {}
    for name, shape in expected_tensors(config).items():
        if not name.startswith("encoder."):
            continue
        row = rows.setdefault(int(name.split(".")[2]), [0, 0.0])
        size = int(np.prod(shape))
        row[0] += size
        if name.endswith("weight_v") or ".weight_" in name and "lstm" in name:
            # kernel 2s: stride s
            rate = rate // (shape[2] // 2) if shape[2:] and shape[2] % 2 == 0 else rate
            row[1] += size * rate / 1e6
    return rows


ours, full = census(model.config), census(ENCODEC_24KHZ)
assert np.isclose(sum(work for _, work in ours.values()),
                  model.encoder.macs * model.sample_rate / 1e6)

# %%
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
total = {name: np.sum(list(rows.values()), axis=0)
         for name, rows in ((model.name, ours), ("encodec_24khz", full))}
lines = ["| encoder of | filters | million numbers | million multiply-adds a second |",
         "|---|---|---|---|"]
for (name, (numbers, work)), filters in zip(total.items(),
                                            (model.config.num_filters, 32)):
    lines.append(f"| {name} | {filters} | {numbers / 1e6:.2f} | {work:.0f} |")
book.say("\n".join(lines))

# %% [markdown]
# The figure is for the official model, which begins with 32 channels; the one bundled here is a smaller copy of it.
# The LSTM and the last stage hold nearly all of the numbers. The work is spread much more evenly: an early layer has
# hardly any weights but uses them thousands of times a second.

# %%
# the LSTM: more than half of the numbers
assert full[13][0] > 0.5 * total["encodec_24khz"][0]
assert full[13][1] < 0.3 * total["encodec_24khz"][1]  # and less than a third of the work
# two stages: few numbers
assert sum(full[i][0] for i in (0, 1, 3, 4, 6)) < 0.03 * total["encodec_24khz"][0]
# but a good part of the work
assert sum(full[i][1] for i in (0, 1, 3, 4, 6)) > 0.2 * total["encodec_24khz"][1]

# %% [markdown]
# ## What the latent looks like
#
# Below is the sentence twice: as a spectrogram ([chapter 1](01_sound_as_numbers.py)), and as the encoder's output.
# The channels of a latent have no order of their own, so we put those with the largest swings on top.

# %%
shown = latent[:, np.argsort(latent.std(axis=0))]  # by rising standard deviation
_, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
level, extent = book.spectrogram(speech, 24_000)
image = axes[0].imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
plt.colorbar(image, ax=axes[0], label="level (dB)")
axes[0].set(ylabel="frequency (kHz)", title="Spectrogram", ylim=(0, 8))
limit = np.percentile(np.abs(latent), 99)
image = axes[1].imshow(shown.T,
                       extent=(0, len(latent) * hop / 24_000, 0, latent.shape[1]),
                       cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
plt.colorbar(image, ax=axes[1], label="value")
axes[1].set(xlabel="time (s)", ylabel="channel, by size", title="Latent")
book.show("latent")

# %% [markdown]
# Pauses, syllables and their edges stand at the same times in both pictures. But there is no frequency axis in the
# latent, and unlike a spectrogram it keeps the *phase*, that is where in its swing each wave is: the decoder can follow
# the waveform itself. How well? We send the latent straight into the decoder, with no quantiser in between.

# %%
straight = back[-1][:len(speech), 0]
coded = model.decode(model.encode(speech[None], bandwidth=6.0), len(speech))[0]


book.play(24_000, original=speech, no_quantiser=straight, at_6_kbit_s=coded)

# %%
part = slice(24_000, 24_480)  # 20 ms
time = 1000 * np.arange(part.start, part.stop) / 24_000
for label, y in (("original", speech), ("no quantiser", straight), ("6 kbit/s", coded)):
    plt.plot(time, y[part], label=label)
plt.gca().set(xlabel="time (ms)", ylabel="amplitude", title="20 ms of the sentence")
plt.legend()
book.show("waveforms")
assert book.snr(speech, straight) > 0.5
assert book.snr(speech, straight) > book.snr(speech, coded) - 1
book.say(f"Without a quantiser the signal-to-noise ratio is "
         f"{book.snr(speech, straight):.1f} dB, with the quantiser at 6 kbit/s "
         f"{book.snr(speech, coded):.1f} dB. The first is about what this encoder and "
         f"decoder can do at best; the quantiser then takes its share.")

# %% [markdown]
# ## Summary
#
# - The encoder is a list: a convolution, four stages that divide the time by 2, 4, 5, 8 and double the channels, the
#   LSTM, a last convolution. The decoder is its mirror image.
# - One frame stands for 320 samples. Its convolutions see a few thousand samples of the past and none of the future,
#   except for the mirrored padding at the very start.
# - Late layers hold the numbers, early layers repeat theirs so often that they cost as much time.
#
# ## Exercises
#
# 1. *Easy.* The 32 kHz model has the strides 4, 4, 5, 8. How many samples and milliseconds is one of its frames, and
#    how far does a frame see? Use only the formula for $R$ and $j$.
# 2. *Medium.* If the number of filters is halved, by how much do numbers and work shrink? Compute it with `census`,
#    and explain why it is not exactly a factor of four.
# 3. *Harder.* Shift the sentence by 320 samples. Is the latent just shifted by one frame? Plot the difference over time,
#    with and without the LSTM, and explain both curves.
#
# [Solutions](solutions/08_seanet.md)
#
# ## Where this lives in the package
#
# - `tinyencodec.codec.seanet`: the residual block, and the two lists of layers.
# - `tinyencodec.layers.stack`: layers in a row, at once or piece by piece; `needs` computes the delay measured above.
# - `tinyencodec.layers.tiles`, `tinyencodec.layers.threads`: the same stack fed in tiles that fit the cache, by
#   several threads.
# - `tinyencodec.models.tensors`: names and shapes of all numbers.
