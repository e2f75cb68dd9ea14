# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 1 Sound as numbers
#
# A codec takes sound in and gives numbers out, as few as possible. Before we can say what "few" means, we need to know
# how many numbers a sound is to begin with.
#
# **What you will see**
#
# - a recording as a row of numbers, and how close we must look before we see single ones
# - why 8000 numbers a second are enough for a telephone, and what they lose: you will hear it
# - a tone of 5 kHz that, sampled too slowly, is the same row of numbers as a tone of 3 kHz
# - the spectrogram, a picture of sound that shows frequency and time at once
# - what a bit is worth, and how few of them this project is going to spend

# %%
import book
import numpy as np
from matplotlib import pyplot as plt

import tinyencodec

book.open_chapter()

# %% tags=["remove-input"]
book.drawing("here", chapter=1)

# %% [markdown]
# ## A row of numbers
#
# Sound is air pressure that changes over time. A microphone turns the pressure into a voltage, and a converter measures
# that voltage again and again, at equal intervals of time. Each measurement is a [sample](glossary.md#sample). How many
# there are per second is the [sample rate](glossary.md#sample-rate), in hertz (Hz, "per second").
#
# That row of samples *is* the sound, as far as a computer is concerned. Here is a sentence somebody spoke, at 24 000
# samples a second. The array has two dimensions: [channels](glossary.md#channel), here one, since one microphone is
# enough for a voice, and time. We call such an array `[C, T]`: C channels, T samples.

# %%
rate = 24_000  # Hz
speech = book.recording("speech", rate)
channels, length = speech.shape
assert channels == 1 and speech.dtype == np.float32 and np.abs(speech).max() <= 1
values = ", ".join(f"{value:.3f}" for value in speech[0, 20_000:20_008])
book.say(f"{length} samples at {rate} Hz are {length / rate:.2f} s of sound. Samples "
         f"20000 to 20007 are: {values}.")
book.play(rate, speech=speech)

# %% [markdown]
# By convention a sample lies between -1 and 1. Zero is silence, and the larger the swings, the louder the sound. A plot
# of the samples over time is called a [waveform](glossary.md#waveform). From afar it shows where the words are. A
# hundred times closer, it shows what a vowel is made of: the same shape, again and again, once for each opening of the
# vocal cords. Closer still, the single samples appear.

# %%
wav = speech[0]
time = np.arange(length) / rate  # s
start = book.FRAME * 320  # a frame that we will meet again

# %% tags=["hide-input"]
fig, axes = plt.subplots(3, 1, figsize=(8, 5.4))
axes[0].plot(time, wav, linewidth=0.4)
axes[0].set(title="The whole sentence", xlabel="time (s)", ylabel="sample value",
            ylim=(-0.5, 0.5))
zooms = ((axes[1], 1200, "50 ms of it: a vowel", "-"),
         (axes[2], 120, "5 ms: single samples", "o-"))
for axis, n, title, style in zooms:
    axis.plot(1000 * time[start:start + n], wav[start:start + n], style, markersize=3)
    axis.set(title=title, xlabel="time (ms)", ylabel="sample value")
book.show("waveform")

# %% [markdown]
# How often the shape repeats each second is what we hear as pitch. We can measure it by sliding the signal along
# itself. How well the two shapes agree is their *correlation*: 1 for the same shape, 0 for unrelated ones, -1 for
# mirror images. Where the copy fits best, it has moved by one repetition, the *period*.

# %%
vowel = wav[start:start + 1200]
shifts = np.arange(60, 400)  # samples: 400 Hz down to 60 Hz
fit = [np.corrcoef(vowel, wav[start + s:start + s + 1200])[0, 1] for s in shifts]
period = shifts[np.argmax(fit)]
book.claim(max(fit) > 0.8, "the shape does repeat")

# %% tags=["hide-input"]
plt.plot(1000 * shifts / rate, fit)
plt.axvline(1000 * period / rate, color="C1", linestyle="--", label="best fit")
plt.gca().set(title="How well the vowel fits a later piece of itself",
              xlabel="shift (ms)", ylabel="correlation")
plt.legend()
book.show("pitch")

# %%
book.say(f"The vowel repeats every {1000 * period / rate:.1f} ms, {rate / period:.0f} "
         f"times a second: its pitch is {rate / period:.0f} Hz.")

# %% [markdown]
# ## How many samples a second?
#
# The purest tone is a sine. Its frequency says how many waves go by each second. To catch a wave at all, we need more
# than two samples of it, one for the hill and one for the valley. So a sample rate of $R$ can carry frequencies below
#
# $$ f_{\text{max}} = \frac{R}{2}, $$
#
# half the sample rate, called the [Nyquist frequency](glossary.md#nyquist-frequency). The *sampling theorem* says that
# this is not only necessary but sufficient: a sound with nothing at $R/2$ or above can be rebuilt from its samples
# *exactly*, every moment between them included.
#
# And a frequency above the limit? It does not vanish. Its samples are those of another, lower tone, and nobody can tell
# the two apart any more. This is [aliasing](glossary.md#aliasing). Below, 5 kHz and 3 kHz are both sampled at 8 kHz.

# %%
low_rate = 8000
n = np.arange(17)
tone_5 = np.cos(2 * np.pi * 5000 * n / low_rate)
tone_3 = np.cos(2 * np.pi * 3000 * n / low_rate)
assert np.allclose(tone_5, tone_3)  # the same numbers, although the tones differ
t = np.linspace(0, n[-1] / low_rate, 2000)

# %% tags=["hide-input"]
plt.plot(1000 * t, np.cos(2 * np.pi * 5000 * t), alpha=0.6, label="5 kHz")
plt.plot(1000 * t, np.cos(2 * np.pi * 3000 * t), alpha=0.9, label="3 kHz")
plt.plot(1000 * n / low_rate, tone_5, "o", color="C3", label="samples at 8 kHz")
plt.gca().set(title="Two tones, one row of samples", xlabel="time (ms)",
              ylabel="sample value", ylim=(-1.15, 1.6))
plt.legend(ncols=3, loc="upper right")
book.show("aliasing")

# %% [markdown]
# So whoever lowers a sample rate must first take out what the new rate cannot carry. Doing both is *resampling*;
# `tinyencodec.convert_audio` does it with a filter. Taking every third sample is the careless way.
#
# Listen to the sentence at 24 kHz, then at 8 kHz, then thinned out carelessly. (The second and third are brought back
# to 24 kHz so that all players run at the same rate; that adds nothing.) At 8 kHz the voice sounds as it does on an old
# telephone, which uses this very rate: dull, and the hiss of an "s" is nearly gone. Thinned out carelessly, the hiss
# comes back at the wrong frequencies, as a rasp.

# %%
slow = tinyencodec.convert_audio(speech, rate, low_rate, 1)
careless = speech[:, ::3]
assert slow.shape == careless.shape == (1, length // 3)
slow_24, careless_24 = (tinyencodec.convert_audio(x, low_rate, rate, 1)[0]
                        for x in (slow, careless))
book.play(rate, sampled_at_24_kHz=speech, sampled_at_8_kHz=slow_24,
          every_third_sample=careless_24)

# %% [markdown]
# ## A picture of sound
#
# A waveform shows *when* something sounds, but hardly *what*. For that we ask of each short stretch of sound: how much
# of each frequency is in it? The [Fourier transform](glossary.md#fourier-transform) answers. It compares the stretch
# with cosines and sines of every frequency that fits into it a whole number of times: it multiplies, and adds up the
# products. NumPy has it as `np.fft.rfft`. Before that, we fade the stretch in and out with a bell-shaped *window*, so
# that its cut edges do not count as sound.
#
# Levels are shown in [decibels](glossary.md#decibel), dB, a logarithmic scale: 20 dB less is a tenth of the amplitude.
# That is closer to how we hear: on its own, a sound of a hundredth of the amplitude, 40 dB less, is still easy to hear.

# %%
window = np.hanning(1025)[:-1]  # 1024 samples, 43 ms


def levels(piece):
    """Level of each frequency in 1024 samples, in dB: [1024] -> [513]."""
    return book.decibels(np.fft.rfft(piece * window) / window.sum())


frequencies = np.arange(513) * rate / 1024  # Hz
spectrum = levels(wav[start:start + 1024])

# %% tags=["hide-input"]
plt.plot(frequencies / 1000, spectrum)
for harmonic in range(1, 21):
    plt.axvline(harmonic * rate / period / 1000, color="C1", linewidth=0.7,
                linestyle="--")
plt.gca().set(title="What is in 43 ms of the vowel (dashed: multiples of its pitch)",
              xlabel="frequency (kHz)", ylabel="level (dB)", xlim=(0, 2.5))
book.show("spectrum")

# %% [markdown]
# The peaks stand at multiples of the pitch, or close by: one voice is many tones at once. How strong each of them is
# makes the difference between an "a" and an "o".
#
# Do this for stretch after stretch and set the results side by side as columns of colour, and you have a
# [spectrogram](glossary.md#spectrogram): time to the right, frequency upwards, level as colour. The few lines below
# make one; from here on we use `book.spectrogram`, which does the same.

# %%
padded = np.pad(wav, 512)  # so that the first window is centred on the first sample
ours = np.stack([levels(padded[at:at + 1024])
                 for at in range(0, len(padded) - 1023, 256)], axis=1)
full, extent = book.spectrogram(wav, rate)
columns = ours.shape[1]
assert np.allclose(ours, full[:, :columns], atol=0.1)  # dB

# %% tags=["hide-input"]
plt.imshow(ours, extent=(0, columns * 256 / rate, 0, rate / 2000), vmin=-100, vmax=-20,
           cmap="magma")
plt.colorbar(label="level (dB)")
plt.gca().set(title="Spectrogram of the sentence", xlabel="time (s)",
              ylabel="frequency (kHz)")
book.show("spectrogram")

# %% [markdown]
# Vowels are ladders of lines, the multiples of the pitch. An "s" is a cloud high up: noise, no pitch. Above 8 kHz there
# is nothing, and we know why: this recording was made at 16 kHz and brought to 24 kHz. Resampling upwards makes room
# for high frequencies; it does not invent them.
#
# Now the three versions that we heard: how strong is each frequency in the "s" of the second word? At 8 kHz, all above
# 4 kHz is gone. In the careless version, what was above 4 kHz has been folded down at 4 kHz, like paper at a crease: 5
# kHz lies on 3 kHz, 6 on 2, 7 on 1. The dotted curve is the original so folded, and the careless version follows it.

# %%
s_start, s_length = int(0.5 * rate), 3600  # 150 ms


def level_of_s(sound, its_rate):
    """Mean level in dB of bands of 100 Hz: 40 at a rate of 8 kHz, 120 at 24 kHz."""
    part = sound[s_start * its_rate // rate:][:s_length * its_rate // rate]
    power = np.abs(np.fft.rfft(part * np.hanning(len(part))) / len(part)) ** 2
    n_bands = its_rate // 2 // 100
    return 10 * np.log10([band.mean() for band in np.array_split(power, n_bands)])


level_24, level_8, level_careless = (level_of_s(sound, its_rate) for sound, its_rate in (
    (wav, rate), (slow[0], low_rate), (careless[0], low_rate)))
folded = 10 * np.log10(10 ** (level_24[:40] / 10) + 10 ** (level_24[40:80][::-1] / 10))
book.claim(np.median(np.abs(folded - level_careless)) < 3,
           "folding explains what is heard")
book.claim((level_careless - level_8)[5:30].mean() > 3, "the fold adds sound below 4 kHz")

# %% tags=["hide-input"]
for label, level, style in (("24 kHz", level_24[:80], "-"), ("8 kHz", level_8, "-"),
                            ("every third sample", level_careless, "-"),
                            ("24 kHz, folded at 4 kHz", folded, ":")):
    plt.plot(0.1 * np.arange(len(level)) + 0.05, level, style, label=label)
plt.axvline(4, color="0.6", linewidth=0.8, linestyle="--")
plt.gca().set(title='An "s", sampled in three ways', xlabel="frequency (kHz)",
              ylabel="level (dB)")
plt.legend()
book.show("rates")

# %%
high = np.abs(np.fft.rfft(wav)) ** 2
share = high[int(4000 * length / rate):].sum() / high.sum()
book.say(f"Only {100 * share:.1f} % of this sentence's energy lies above 4 kHz, and yet "
         "you heard it go. What the ear misses and what a sum of energies misses are two "
         "different things.")
book.claim(0 < share < 0.05, "less than a twentieth of the energy lies above 4 kHz")

# %% [markdown]
# ## What is a bit worth?
#
# A sample also has to be written with a limited number of digits. With $b$ [bits](glossary.md#bit) there are $2^b$
# possible values, and each sample is rounded to the nearest one: [quantisation](glossary.md#quantisation). The
# difference is an error that we hear as noise. How loud the sound is compared with the noise, in decibels, is the
# [signal-to-noise ratio](glossary.md#signal-to-noise-ratio), SNR: ten times the decimal logarithm of the ratio of their
# energies.
#
# One bit more halves the step between neighbouring values. That halves the error, and half the amplitude is 6 dB less.

# %%
def quantise(x, bits):
    """Round to the nearest of 2^bits values from -1 to just below 1, evenly spaced."""
    half = 2 ** (bits - 1)
    return np.clip(np.round(x * half), -half, half - 1) / half


def snr(signal, changed):
    """Signal-to-noise ratio in dB."""
    return 10 * np.log10(np.sum(np.square(signal)) / np.sum(np.square(changed - signal)))


bits = np.arange(2, 17)
measured = [snr(wav, quantise(wav, b)) for b in bits]
per_bit = np.polyfit(bits[4:], measured[4:], 1)[0]
assert abs(per_bit - 6.02) < 0.3  # of any sound

# %% tags=["hide-input"]
plt.plot(bits, measured, "o", label="measured")
plt.plot(bits, measured[6] + 20 * np.log10(2) * (bits - 8), "--",
         label="20 log10(2) = 6.02 dB per bit")
plt.gca().set(title="Each bit buys about 6 dB", xlabel="bits per sample",
              ylabel="signal-to-noise ratio (dB)")
plt.legend()
book.show("snr")

# %%
book.say(f"From 6 to 16 bits, each bit adds {per_bit:.1f} dB. With 16 bits the noise "
         f"lies {measured[-1]:.0f} dB below this speech, with 4 bits only "
         f"{measured[2]:.0f} dB. The dots at the left end lie above the line, because "
         f"the ratio cannot fall much below 0 dB: with 2 bits, "
         f"{100 * np.mean(quantise(wav, 2) == 0):.1f} % of the samples become zero.")

# %% [markdown]
# Listen: eight bits hiss softly, four bits roar.

# %%
book.play(rate, all_16_bits=wav, with_8_bits=quantise(wav, 8),
          with_4_bits=quantise(wav, 4))

# %% [markdown]
# ## Bits per second
#
# Samples one after another, each with the same number of bits, is called [PCM](glossary.md#pcm) (pulse-code
# modulation). WAV files hold it. Its cost in bits per second, the [bitrate](glossary.md#bitrate), is a product:
#
# $$ \text{bitrate} = \text{sample rate} \times \text{bits per sample} \times \text{channels}. $$

# %%
pcm = {"CD, stereo": 44_100 * 16 * 2, "24 kHz, mono": 24_000 * 16 * 1,
       "telephone": 8_000 * 8 * 1}
codec = {f"EnCodec, {kbit:g} kbit/s": int(1000 * kbit) for kbit in (24, 12, 6, 3, 1.5)}
rates = pcm | codec  # bit/s

# %% tags=["hide-input"]
fig, axis = plt.subplots(figsize=(8, 3.4))
bars = axis.barh(list(rates)[::-1], [value / 1000 for value in rates.values()][::-1],
                 color=["C1"] * len(codec) + ["C0"] * len(pcm))
axis.bar_label(bars, fmt="{:g}", padding=4)
axis.set(title="PCM (blue) and the codec of this book (orange)",
         xlabel="bitrate (kbit/s), logarithmic", xscale="log", xlim=(1, 4000))
book.show("bitrates")

# %%
ratio = pcm["24 kHz, mono"] / codec["EnCodec, 6 kbit/s"]
assert ratio == 64
book.say(f"At 6 kbit/s, EnCodec has {6000 / rate:g} bits for each sample: {ratio:g} "
         f"times fewer than PCM at the same rate. A minute of sound takes "
         f"{60 * 6000 / 8000:.0f} kilobytes.")

# %% [markdown]
# A quarter of a bit per sample! What would PCM do with so little? A sample takes at least one bit, for whether it is
# positive or negative. So 6000 bits are at most 6000 samples, and no more than their signs.
#
# A codec spends the same 6000 bits per second differently. It has learnt from many hours of sound which sounds occur at
# all, and its bits only say which of those it was. Compare the two. (The model that comes with this package is small
# and was trained for hours, not weeks, so do not expect studio quality; the point is how much the same bits can say.
# Neither recording of this book was among the sounds that it learnt from.)

# %%
thin = tinyencodec.convert_audio(speech, rate, 6000, 1)
one_bit = np.where(thin >= 0, 1, -1) * np.abs(thin).mean()
pcm_6 = tinyencodec.convert_audio(one_bit.astype(np.float32), 6000, rate, 1)
model = tinyencodec.load_model()
coded_6 = model.decode(model.encode(speech, bandwidth=6.0), length=length)
assert coded_6.shape == speech.shape
book.play(rate, original=speech, PCM_at_6_kbit_s=pcm_6, codec_at_6_kbit_s=coded_6)

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
versions = {"original": wav, "PCM, 6 kbit/s": pcm_6[0], "codec, 6 kbit/s": coded_6[0]}
for axis, (title, sound) in zip(axes, versions.items()):
    picture, extent = book.spectrogram(sound, rate)
    image = axis.imshow(picture, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=title, xlabel="time (s)")
axes[0].set_ylabel("frequency (kHz)")
fig.colorbar(image, label="level (dB)")
book.show("six_kilobits")

# %% [markdown]
# ## One frame to follow
#
# The codec cuts the sentence into pieces of 320 samples, 13.3 ms each. We will follow one of them, number 62, through
# the whole book. Here it is, in the vowel that we looked at.

# %%
followed = wav[320 * book.FRAME:320 * (book.FRAME + 1)]
book.say(f"As PCM of 16 bits it costs {320 * 16} bits. At 6 kbit/s the codec will have "
         f"{6000 * 320 // rate} bits for it.")

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.2))
plt.plot(np.arange(320) / 24, followed, ".-", markersize=2)
plt.gca().set(title=f"Frame {book.FRAME}: 320 samples", xlabel="time in the frame (ms)",
              ylabel="sample value")
book.show("followed")

# %% [markdown]
# [Chapter 8](08_seanet.py) turns it into 128 numbers, [chapter 9](09_rvq.py) into 8 codes, [chapter
# 11](11_bits_and_files.py) into 80 bits, and [chapters 12](12_arithmetic_coding.py) and [13](13_language_model.py) into
# fewer.
#
# ## In the paper
#
# [EnCodec's paper](https://arxiv.org/abs/2210.13438) works at two sample rates: 24 kHz, mono, for everything, and 48
# kHz, stereo, for music. At 24 kHz it has 1.5, 3, 6, 12 and 24 kbit/s (section 3.2). To compare codecs, listeners gave
# marks from 0 to 100 to hidden versions of the same sound (a *MUSHRA* test, section 4). On average they preferred
# EnCodec at 3 kbit/s to Opus at 12 and to Lyra v2 at 6, as the [card of the official
# model](https://huggingface.co/facebook/encodec_24khz) sums up. Keep that in mind when you listen to the small model of
# this book: it is far from that. How far, in numbers, is in [Results](results.md).

# %% [markdown]
# How a codec does that is what the other chapters build, one piece at a time. [Chapter 8](08_seanet.py) puts the
# network together, [chapter 9](09_rvq.py) turns its output into bits, and [chapter 10](10_the_whole_codec.py) listens.
#
# ## Summary
#
# - Sound is a row of samples, in this project an array `[C, T]` of float32 between -1 and 1.
# - A sample rate $R$ carries frequencies below $R/2$. What lies above must be filtered out first, or it comes back in
#   the wrong place.
# - A spectrogram shows how strong each frequency is at each moment, in dB.
# - Each bit per sample is worth 6 dB of signal-to-noise ratio.
# - PCM costs sample rate × bits × channels: 384 kbit/s for 24 kHz mono with 16 bits. EnCodec takes 1.5 to 24 kbit/s.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/01_sound_as_numbers.md), each behind a click.
#
# 1. *Easy.* How many bytes does one hour take: as CD-quality PCM, as 24 kHz mono PCM with 16 bits, at 6 kbit/s?

# %%
cd, mono, coded = ..., ..., ...  # bytes
book.check("1.1", cd, mono, coded)

# %% [markdown]
# 2. *Medium.* Make a tone that rises from 100 Hz to 11 kHz in three seconds, and keep every third sample. What do you
#    expect in the spectrogram? Draw it. Then say as a function which frequency a tone appears as when it is sampled at
#    8 kHz.

# %%
def appears_as(frequency):
    """Hz -> Hz, from 0 to 4000"""
    return ...


book.check("1.2", appears_as)

# %% [markdown]
# 3. *Harder.* Spectrograms cannot be sharp in time and in frequency at once. Draw the same second of speech with
#    windows of 128, 1024 and 8192 samples, and say what each one shows best. How far apart in frequency are two tones
#    that a window of $n$ samples just tells apart? And how long is the window? What is the product of the two?

# %%
def apart(n):
    """Samples of a window at 24 kHz -> (Hz, s)"""
    return ...


book.check("1.3", apart)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.audio.files`: `read_audio`, `convert_audio` and `write_audio`, from files to arrays and back
# - `tinyencodec.audio.resample`: change of sample rate, block by block, with the filter that prevents aliasing
# - `tinyencodec.audio.pcm`: samples as bytes, for pipes
# - `tinyencodec.codec.config`: the sample rate, channels and bitrates of each model
