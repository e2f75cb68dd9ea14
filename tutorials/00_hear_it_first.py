# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 0 Hear it first
#
# Before we build a codec, let us use one. Ten lines turn a spoken sentence into whole numbers, and the numbers back
# into sound. You will hear what is lost, and see the numbers. How it works is the subject of the rest of the book.
#
# **What you will see**
#
# - a sentence coded and decoded in ten lines, and heard at four bitrates
# - what the codec stores, as a picture: 75 columns of whole numbers per second
# - a slider that adds one codebook after another while the sentence plays
# - a map of all parts, with the chapters that build them

# %%
import book
import matplotlib.pyplot as plt
import numpy as np
import playable

import tinyencodec

book.open_chapter()

# %% tags=["remove-input"]
book.drawing("here", chapter=0)

# %% [markdown]
# ## Ten lines
#
# A *bitrate* says how many bits a second of sound takes; 1 kbit is 1000 bits. Uncompressed, a second is 24 000 numbers
# of 16 bits each: 384 kbit/s. The codec makes do with 1.5 to 12.

# %%
model = tinyencodec.load_model()
wav = book.recording("speech")  # [1, samples]

codes, sounds = {}, {}
for rate in model.bandwidths:
    [frame] = model.encode(wav, rate)
    codes[rate] = frame.codes
    sounds[f"{rate:g} kbit/s"] = model.decode([frame], wav.shape[1])

book.play(model.sample_rate, original=wav, **sounds)

# %% [markdown]
# Listen for three things: can you follow every word, is it still the same speaker, and how rough is the sound? This
# model is small, was trained for a few hours on one or two processor cores, and has never heard this speaker. The
# official model of the paper was trained far longer, on far more sound.
#
# ## How small is that?

# %%
seconds = wav.shape[1] / model.sample_rate
sizes = {"16-bit samples": 2 * wav.shape[1]}
for rate in model.bandwidths:
    sizes[f"{rate:g} kbit/s"] = len(tinyencodec.compress(model, wav, rate))
    header = sizes[f"{rate:g} kbit/s"] - codes[rate].size * 10 / 8
    assert 50 < header < 80, "expected the codes, and a header of some 60 bytes"

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.6))
plt.barh(list(sizes)[::-1], [size / 1000 for size in sizes.values()][::-1])
for i, size in enumerate(reversed(sizes.values())):
    plt.text(size / 1000, i, f"  {size:,} bytes".replace(",", " "), va="center")
plt.xlim(0, 1.2 * sizes["16-bit samples"] / 1000)
plt.gca().set(title=f"The same {seconds:.1f} s of speech", xlabel="size (kB)")
book.show("sizes")

# %%
times = sizes["16-bit samples"] / sizes["6 kbit/s"]
book.say(f"At 6 kbit/s the file is **{times:.0f} times smaller** than the samples, and a "
         f"minute of speech takes {60 * 6000 / 8 / 1000:.0f} kB.")

# %% [markdown]
# ## What is stored
#
# Such a file no longer holds any samples. The codec cuts the sound into *frames* of 320 samples, 75 a second, and
# describes each by a few whole numbers from 0 to 1023, its *codes*. At 6 kbit/s there are 8 of them: 8 codes of 10 bits
# are 80 bits, and 75 × 80 = 6000.

# %%
n_codes, n_frames = codes[6.0].shape
assert n_codes == 8 and n_frames == -(-wav.shape[1] // 320) and codes[6.0].max() < 1024
followed = codes[6.0][:, book.FRAME].tolist()
book.say(f"We will follow one frame through the book, number {book.FRAME}. Its codes are "
         f"**{followed}**: that is all the file says about those 13 milliseconds.")

# %% tags=["hide-input"]
# Codes that are neighbours get unrelated colours.
shuffled = np.random.default_rng(0).permutation(1024)[codes[6.0]]
plt.figure(figsize=(8, 2.6))
plt.imshow(shuffled, cmap="hsv", interpolation="nearest", origin="upper",
           extent=(0, seconds, 8.5, 0.5))
plt.gca().set(xlabel="time (s)", ylabel="codebook",
              title="The sentence at 6 kbit/s: all that the file holds")
book.show("codes")

# %% [markdown]
# Each row belongs to a *codebook*, a list of 1024 entries, and a code says which entry. (Codes are names: the colours
# only tell them apart.) The first codebook gives a rough outline, and each later one corrects what is still wrong. So
# the file at 1.5 kbit/s simply has the first two rows, and the one at 12 kbit/s has sixteen.

# %%
assert np.array_equal(codes[12.0][:8], codes[6.0])
assert np.array_equal(codes[6.0][:2], codes[1.5])

# %% [markdown]
# ## One codebook after another
#
# Move the slider while the sentence plays. Each step to the right adds a codebook, or several towards the end; the last
# position is the recording itself.

# %%
part = slice(0, 3 * model.sample_rate)
versions = []
for k in (1, 2, 3, 4, 5, 6, 8, 12, 16):
    y = model.decode([(codes[12.0][:k], None)], wav.shape[1])
    name = f"{k} codebook{'s' * (k > 1)}"
    versions.append(playable.version(name, f"{0.75 * k:g} kbit/s", y[0, part], 24_000))
versions.append(playable.version("original", "384 kbit/s", wav[0, part], 24_000))
book.playable(playable.switcher("How many codebooks?", versions, "slider",
                                "number of codebooks", start=1))

# %% [markdown]
# The picture above the slider is a *spectrogram*: time runs to the right, frequency upwards, and bright means loud.
# Voices are ladders of bright lines, and hisses like the *s* are clouds. Here are the recording and two of its copies,
# side by side.

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True)
shown = {"original": wav, **{name: sounds[name] for name in ("1.5 kbit/s", "6 kbit/s")}}
for axis, (name, y) in zip(axes, shown.items()):
    level, extent = book.spectrogram(y[0], model.sample_rate)
    axis.imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
    axis.set(title=name, xlabel="time (s)", ylim=(0, 8))
axes[0].set_ylabel("frequency (kHz)")
book.show("spectrograms")

# %% [markdown]
# ## The map
#
# These are the parts that the sentence went through. The left side encodes: it made the file. The right side decodes:
# the file is all it had.

# %% tags=["remove-input"]
book.drawing("map")

# %% [markdown]
# - **Sound** ([chapter 1](01_sound_as_numbers.py)) is 24 000 numbers a second.
# - The **encoder** ([chapters 2](02_convolution.py) to [8](08_seanet.py)) is a neural network that turns every 320 of
#   them into one *latent vector* of 128 numbers, and the **decoder** turns such vectors back into sound.
# - The **codebooks** ([chapter 9](09_rvq.py)) replace each latent vector by 8 codes. Here something is lost for good.
# - The **coder** ([chapters 11](11_bits_and_files.py) to [13](13_language_model.py)) turns codes into bits, and spends
#   fewer bits on codes that could have been guessed.
# - How the network and its codebooks are learnt is the subject of [chapter 14](14_training.py), and how to find better
#   codes that of [chapter 15](15_search.py).
#
# ## In the paper
#
# [EnCodec's paper](https://arxiv.org/abs/2210.13438) draws encoder, codebooks and decoder in its figure 1, together
# with the losses that train them. The released 24 kHz model goes up to 24 kbit/s, with 32 codebooks; the small model of
# this book has 16. Section 3.2 lists the bitrates, and says why one model serves all of them.
#
# ## Summary
#
# - A codec turns sound into bits and bits into sound. This one needs 1.5 to 12 kbit/s: at most a 32nd of the bits that
#   the samples take.
# - What it stores is codes: for every 320 samples, a few whole numbers below 1024.
# - The first codes matter most, and one encoding holds all bitrates: to get a smaller file, leave rows out.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/00_hear_it_first.md), each behind a click.
#
# 1. *Easy.* How many bytes does an hour of sound take at 1.5 kbit/s? How many hours fit on a compact disc of 650 MB
#    (650 million bytes)?

# %%
one_hour, hours = ..., ...
book.check("0.1", one_hour, hours)

# %% [markdown]
# 2. *Medium.* Code the other recording, `book.recording("guitar")`, at 6 kbit/s, and listen. Then compute by how many
#    decibels its signal-to-noise ratio, `book.snr(before, after)`, is above that of the sentence.

# %%
decibels = ...
book.check("0.2", decibels)

# %% [markdown]
# 3. *Medium.* Decode codes that nobody has encoded: random whole numbers from 0 to 1023, 8 rows and 300 columns. What
#    do you hear?

# %%
noise = ...  # the sound
book.check("0.3", noise)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec`: `load_model`, `compress`, and all else that a program needs
# - `tinyencodec.codec.model`: `encode` and `decode`, the whole codec in one object
