# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 10 The whole codec
#
# Encoder ([chapter 8](08_seanet.py)), quantiser ([chapter 9](09_rvq.py)), decoder: in a row they are a
# [codec](glossary.md#codec), a coder and decoder of sound. In this chapter we run it, listen, and look closely at what
# it gets wrong. Then we add the two things that the 48 kHz model has besides: the loudness is taken out and put back,
# and a long signal is cut into segments whose seams must not be heard.
#
# **What you will see**
#
# - speech and music, before and after, and what is kept of them: a table of small whole numbers
# - the error itself, as sound and as a spectrogram, and in which frequencies it lives
# - a codec that does well only at an ordinary loudness, and the one number that cures it
# - clicks at the seams between segments, and how a cross-fade removes them

# %%
import dataclasses
import time

import book
import matplotlib.pyplot as plt
import numpy as np

import tinyencodec
from tinyencodec.codec.model import EncodecModel
from tinyencodec.codec.segments import OverlapAdd, Windows, scale_of
from tinyencodec.models.store import HQ_MODEL
from tinyencodec.models.tensors import read_model_folder

book.open_chapter()
model = tinyencodec.load_model()

# %% tags=["remove-input"]
book.drawing("here", chapter=10)

# %% [markdown]
# ## Three calls in a row
#
# Nothing new is needed. Sound is `[channels, samples]` outside and `[samples, channels]` inside the network.

# %%
speech = book.recording("speech")
latent = model.encoder(np.ascontiguousarray(speech.T))  # [T, 1] -> [F, D]
codes = model.quantizer.encode(latent, n_codebooks=8)  # [F, D] -> [K, F]
# [K, F] -> [F, D] -> [1, T]
again = model.decoder(model.quantizer.decode(codes))[:speech.shape[1]].T

frames = model.encode(speech, bandwidth=6.0)
assert np.array_equal(frames[0].codes, codes) and frames[0].scale is None
assert np.array_equal(model.decode(frames, length=speech.shape[1]), again)

# %% [markdown]
# That is all that `model.encode` and `model.decode` do, except that they also check their input, and work through long
# sounds tile by tile. Only the codes travel from one to the other. Each of the $K$ codebooks gives 10 bits per frame,
# and there are 75 frames in a second:
#
# $$ \text{bitrate} = K \cdot 10 \cdot 75 \; \text{bit/s} $$

# %%
n_codebooks, n_frames = codes.shape
bitrate = n_codebooks * model.bits_per_code * model.frame_rate
assert bitrate == 6000
pcm = 16 * model.sample_rate  # 16 bits a sample
followed = ", ".join(map(str, codes[:, book.FRAME]))
book.say(f"Of the frame that we follow, number {book.FRAME}, all that travels is "
         f"{followed}.")
book.say(f"{speech.shape[1]} samples become {n_codebooks} × {n_frames} codes: {bitrate} "
         f"bit/s instead of {pcm} for the samples themselves, "
         f"**1/{pcm / bitrate:.0f}** of the bits.")

# %%
guitar = book.recording("guitar")
start = time.perf_counter()
frames = model.encode(guitar, bandwidth=6.0)
middle = time.perf_counter()
guitar_again = model.decode(frames, length=guitar.shape[1])
end = time.perf_counter()
seconds = guitar.shape[1] / model.sample_rate
book.say(f"{seconds:.0f} s of guitar took {middle - start:.2f} s to encode and "
         f"{end - middle:.2f} s to decode when this page was made: "
         f"{seconds / (middle - start):.0f} and {seconds / (end - middle):.0f} times as "
         f"fast as it plays.")
book.play(24_000, speech=speech, speech_at_6_kbit_s=again, guitar=guitar,
          guitar_at_6_kbit_s=guitar_again)

# %% [markdown]
# ## What went wrong, and where
#
# The error is a sound too: the difference of original and copy, sample by sample. Listen to it. What you recognise in
# it has been lost, or has been shifted in time by so little that the ear does not mind, but the subtraction does.

# %%
error = speech - again
book.play(24_000, error_of_the_speech=error, error_of_the_guitar=guitar - guitar_again)

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True)
for axis, title, x in zip(axes, ("original", "6 kbit/s", "error"),
                          (speech, again, error)):
    level, extent = book.spectrogram(x[0], 24_000)
    image = axis.imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=title, xlabel="time (s)")
axes[0].set_ylabel("frequency (kHz)")
plt.colorbar(image, ax=axes, label="level (dB)")
book.show("error_spectrogram")

# %% [markdown]
# To see which frequencies suffer, we add up the energy of signal and error in bands half an
# [octave](glossary.md#octave) wide (an octave is a factor of two in frequency). Where the curve of the error lies well
# below that of the signal, the codec follows the waveform. Where the two meet, it gets at best the loudness right.

# %%
edges = 62.5 * 2 ** (np.arange(15) / 2)  # Hz


def band_levels(x):
    """Energy of x [T] between neighbouring `edges`, in dB."""
    power = np.abs(np.fft.rfft(x)) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / model.sample_rate)
    return 10 * np.log10([power[(frequency >= a) & (frequency < b)].sum() + 1e-9
                          for a, b in zip(edges, edges[1:])])

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(10, 3.2))
for axis, name, x, y in ((axes[0], "speech", speech, again),
                         (axes[1], "guitar", guitar, guitar_again)):
    signal, wrong = band_levels(x[0]), band_levels(x[0] - y[0])
    axis.stairs(signal, edges, label="signal", color="C0", baseline=None)
    axis.stairs(wrong, edges, label="error", color="C1", baseline=None)
    axis.set(xscale="log", xlabel="frequency (Hz)", ylabel="energy in the band (dB)",
             title=name)
    axis.legend()
    book.claim(np.mean((signal - wrong)[3:6]) > np.mean((signal - wrong)[-4:]),
               f"{name} is followed better below 500 Hz than above 2.8 kHz")
book.show("bands")

# %% [markdown]
# Low frequencies are followed better than high ones. Training has made that choice: low frequencies hold most of the
# energy, and a wave that repeats every 10 ms is easier to place than one that repeats every 0.2 ms. At high frequencies
# the ear notices how strong the sound is, but hardly its exact waveform. So the plain error says little about how good
# a codec sounds, and [chapter 14](14_training.py) trains with other measures as well.
#
# ## One number for the loudness
#
# A network has habits. It was trained on sounds of ordinary loudness. What if a sound comes in very softly?

# %%
def scaled_codec(wav):
    """Divide by the loudness, code, decode, multiply by it again."""
    # so that what the model sees has an RMS of 0.1, an ordinary loudness
    scale = 10 * scale_of(wav)
    return scale * model.decode(model.encode(wav / scale, 6.0), wav.shape[1])


gains = np.arange(-50, 11, 10)
plain, scaled = [], []
for gain in gains:
    soft = guitar[:, :72_000] * 10 ** (gain / 20)  # 3 s
    plain.append(book.snr(soft, model.decode(model.encode(soft, 6.0), soft.shape[1])))
    scaled.append(book.snr(soft, scaled_codec(soft)))

# %% tags=["hide-input"]
plt.plot(gains, plain, "o-", label="as it comes")
plt.plot(gains, scaled, "o-", label="loudness taken out and put back")
plt.gca().set(xlabel="gain of the input (dB)", ylabel="SNR at 6 kbit/s (dB)",
              title="The guitar, softer and softer")
plt.legend()
plt.grid(True)
book.show("loudness")

# %%
assert np.ptp(scaled) < 0.1 < 1 < np.ptp(plain)
book.say(f"At -50 dB the plain codec is left with {plain[0]:.1f} dB. With the loudness "
         f"taken out, it reaches {scaled[0]:.1f} dB at every gain.")

# %% [markdown]
# The measure of loudness is the [RMS](glossary.md#rms), or *root mean square*: square all samples of the mono mix $m$,
# take the mean, then the square root. (The mono mix is the mean of the channels.) A tiny number is added, so that
# silence does not lead to a division by zero:
#
# $$ \text{scale} = \sqrt{\frac{1}{T} \sum_{t} m_t^2} + 10^{-8} $$
#
# The 48 kHz model works like that. What its network sees always has an RMS of 1, and the scale is stored as a number
# of 4 bytes for each second. The 24 kHz model has no such step. It must respond within milliseconds, and the loudness
# of a second is known only when the second is over.

# %%
stereo = book.recording("guitar", 48_000, 2)
mono = stereo.mean(axis=0)
assert np.isclose(scale_of(stereo), np.sqrt(np.mean(mono**2)) + 1e-8)

# %% [markdown]
# ## Seams
#
# So the 48 kHz model works in [segments](glossary.md#segment) of one second. Inside its network, after each
# convolution, it also subtracts the mean of the whole segment and divides by the standard deviation (*group norm*). So
# it cannot even begin before it has a whole segment. Each segment is coded on its own, as if nothing came before it.
# What happens where two of them meet?
#
# We can try that with the 24 kHz model: we keep its weights and change its configuration. Segments of 0.32 s make more
# seams than segments of a second. Like those of the 48 kHz model, they share 10 ms with their neighbours.

# %%
_, tensors = read_model_folder(model.folder)
config = dataclasses.replace(model.config, chunk_length_s=0.32, overlap=1 / 32)
pieces = EncodecModel("in_segments", config, tensors)
length, stride = pieces.segment_length, pieces.segment_stride
assert (length, stride) == (7680, 7440)

cut = Windows(length, stride)
# each [1, 7680], the last ones shorter
windows = [window.copy() for window in cut.push(guitar, last=True)]
decoded = [model.decode(model.encode(window, 6.0), window.shape[1]) for window in windows]
hard = np.concatenate([window[:, :stride] for window in decoded], axis=1)  # end to end
book.play(24_000, coded_as_one=guitar_again, segments_end_to_end=hard)

# %% [markdown]
# Each decoded segment is a little wrong, each in its own way. So at a seam the waveform jumps from one error to
# another. The cure is to fade one segment out while the next fades in. Each segment $i$ is weighted by $w$, a triangle
# over its length, and
#
# $$ y_t = \frac{\sum_i w_{t - iS} \; y^{(i)}_{t - iS}}{\sum_i w_{t - iS}} $$
#
# where $S$ is the distance from the start of one segment to that of the next. Where there is only one segment, its
# weight cancels, and it stays as it is. Where two overlap, one weight falls while the other rises, and their sum stays
# the same: a straight [cross-fade](glossary.md#cross-fade).

# %%
def overlap_add(windows, stride):
    """Cross-fade windows [C, n] that start `stride` apart."""
    total = (len(windows) - 1) * stride + windows[-1].shape[1]
    total = max(total, (len(windows) - 2) * stride + windows[-2].shape[1])
    y, weight = np.zeros((len(windows[0]), total)), np.zeros(total)
    n = windows[0].shape[1]
    triangle = 0.5 - np.abs(np.arange(1, n + 1) / (n + 1) - 0.5)
    for i, window in enumerate(windows):
        part = slice(i * stride, i * stride + window.shape[1])
        # a shorter one: the first part of the same triangle
        y[:, part] += triangle[:window.shape[1]] * window
        weight[part] += triangle[:window.shape[1]]
    return y / weight


faded = overlap_add(decoded, stride)
fade = OverlapAdd(stride)
assert np.allclose(faded,
                   np.concatenate([*map(fade.add, decoded), fade.finish()], axis=1),
                   atol=1e-5)
assert np.allclose(faded[:, :guitar.shape[1]],
                   pieces.decode(pieces.encode(guitar, 6.0), guitar.shape[1]), atol=1e-5)
book.play(24_000, segments_cross_faded=faded)

# %%
n = np.arange(1, length + 1)
triangle = 0.5 - np.abs(n / (length + 1) - 0.5)
jumps = np.abs(np.diff(hard[0]) - np.diff(faded[0, :hard.shape[1]]))
seam = stride * (1 + np.argmax(jumps[stride - 1:len(guitar[0]) - stride:stride]))  # worst

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(9, 3))
for i in range(2):
    axes[0].plot((i * stride + n) / 24, triangle, label=f"segment {i}")
overlap = np.arange(stride, length)
axes[0].plot(overlap / 24, triangle[stride:] + triangle[:length - stride], "--",
             color="0.5", label="their sum")
axes[0].axvspan(stride / 24, length / 24, alpha=0.15)
axes[0].set(xlabel="time (ms)", ylabel="weight",
            xlim=(stride / 24 - 15, length / 24 + 15), ylim=(0, 0.035),
            title="The ends of two triangles; 10 ms are shared")
axes[0].legend(fontsize=8)
part = slice(seam - 60, seam + 60)
for label, x, width in (("original", guitar, 1), ("cross-faded", faded, 1),
                        ("end to end", hard, 1.8)):
    axes[1].plot(np.arange(part.start, part.stop) / 24, x[0, part], label=label,
                 linewidth=width)
axes[1].axvline((seam - 0.5) / 24, 0, 0.85, color="0.6", linestyle="--", linewidth=0.8)
axes[1].set(xlabel="time (ms)", ylabel="sample value",
            title="5 ms around a seam (dashed)")
axes[1].margins(y=0.25)
axes[1].legend(fontsize=8, loc="upper center", ncols=3)
book.show("seam")

# %% [markdown]
# One seam is only an example. To measure, we take all of them: how large is the step from one sample to the next, at
# the seams and around them?

# %%
seams = np.arange(stride, guitar.shape[1] - 2 * stride, stride)
around = np.arange(-20, 21)
steps = {}  # their mean over the seams
for label, x in (("original", guitar), ("end to end", hard), ("cross-faded", faded)):
    # step from sample t - 1 to t
    steps[label] = np.abs(np.diff(x[0]))[seams[:, None] + around - 1].mean(axis=0)
clicks = {label: step[20] / np.median(step) for label, step in steps.items()}
assert clicks["end to end"] > 2 * clicks["cross-faded"]
book.say(f"End to end, the step at a seam is {clicks['end to end']:.1f} times as large "
         f"as those around it; cross-faded, {clicks['cross-faded']:.1f} times.")

# %% tags=["hide-input"]
for label, step in steps.items():
    plt.plot(around, step, ".-", label=label)
plt.gca().set(xlabel="samples from the seam", ylabel="mean step",
              title=f"The mean of {len(seams)} seams")
plt.legend()
book.show("steps")

# %% [markdown]
# The click is gone. One fault remains: each segment begins anew. Its first frames know nothing of the past, and the
# LSTM starts with an empty memory. With segments of a whole second, that happens only once a second.
#
# ## The 48 kHz model
#
# Stereo, segments, scales: all of it is behind the same two calls. What a segment costs in addition is one number, its
# `scale`, and the samples that it shares with the next segment, which are coded twice.

# %%
if HQ_MODEL in tinyencodec.list_models():
    hq = tinyencodec.load_model(HQ_MODEL)
    frames = hq.encode(stereo, bandwidth=6.0)
    assert all(frame.scale > 0 for frame in frames)
    book.say(f"`{hq.name}`: {len(frames)} segments with the scales "
             f"{', '.join(f'{f.scale:.3f}' for f in frames)}.")
    book.play(48_000, guitar_in_stereo=stereo,
              stereo_at_6_kbit_s=hq.decode(frames, stereo.shape[1]))
else:
    book.say(f"The 48 kHz model `{HQ_MODEL}` is not installed here, so there is nothing "
             f"to hear; with it, this cell plays the guitar in stereo.")

# %% [markdown]
# ## In the paper, in the released code, and here
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, normalises and cuts as above: at 48 kHz, pieces of one
# second that share 10 ms. How the shared part is cross-faded, and that the last piece may be short, one learns from the
# released code.
#
# And how good is it? In Table 1 of the paper, listeners gave points from 0 to 100:
#
# | 24 kHz, mono | clean speech | music, mean of two sets |
# |---|---|---|
# | the original, hidden among the copies | 95.5 | 95.2 |
# | EnCodec at 3 kbit/s | 67.0 | 88.7 |
# | EnCodec at 6 kbit/s | 83.1 | 92.1 |
# | Opus at 6 kbit/s | 30.1 | 19.3 |
# | Opus at 12 kbit/s | 76.5 | 71.6 |
#
# So EnCodec at 6 kbit/s beats Opus at 12. The model that you heard here does not. It is level with Opus at 6 kbit/s on
# voices that it does not know, and far behind Opus at 12 ([Results](results.md#what-listeners-said-of-encodec)). The
# difference is in the training, not in the code: with the released weights, this package gives the same codes as the
# official program.
#
# ## Summary
#
# - A codec is encoder, quantiser, decoder. Only codes travel, and their number is the bitrate.
# - The waveform is followed best where the energy is, at low frequencies. At high ones the error is as large as the
#   signal.
# - A network is used to a certain loudness. If the RMS is divided out and stored, the loudness no longer matters.
# - Segments that were coded on their own do not fit together. A straight cross-fade over 10 ms removes the clicks.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/10_the_whole_codec.md), each behind a click.
#
# 1. *Easy.* Turn a sound upside down: encode `-speech`. What share of the codes stays the same? Is the error the same?
#    What does that say about the network?

# %%
share_of_equal_codes = ...
book.check("10.1", share_of_equal_codes)

# %% [markdown]
# 2. *Medium.* How does the SNR of the guitar at 6 kbit/s depend on the length of the segments? Try 0.1, 0.25, 0.5, 1
#    and 2 s, in whole frames, with 10 ms shared, and plot it.

# %%
ratios = ...  # five, in dB
book.check("10.2", ratios)

# %% [markdown]
# 3. *Harder.* Code the output of the codec again, ten times over. Plot the SNR of the guitar against the original after
#    each *generation*, and listen to the tenth. Why does it go on getting worse?

# %%
first, tenth = ..., ...  # in dB
book.check("10.3", first, tenth)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.codec.model`: `EncodecModel` with `encode` and `decode`.
# - `tinyencodec.codec.network`: its three parts, and checks of what they are given.
# - `tinyencodec.codec.segments`: windows, scale, overlap-add, and how many frames a segment has.
# - `tinyencodec.codec.streaming`: the same, piece by piece ([chapter 5](05_streaming.py)).
# - `tinyencodec.layers.norm`: the group norm that makes segments necessary.
# - `tinyencodec.models.store`: models by name.
