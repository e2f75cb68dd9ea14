# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 14 Training
#
# All chapters so far used weights that were already trained. Where do they come from? Somebody wrote down what a good
# reconstruction is, and let a computer change all the weights, a little at a time, in the direction that makes the
# reconstruction better. In this chapter you will do that: first with a single number, then with two layers by hand,
# then with a very small codec and ten seconds of sound.
#
# This is the only chapter that needs PyTorch (`pip install '.[train]'`). PyTorch remembers how each result was
# computed, and so it can say, for millions of numbers at once, in which direction to change them (*autograd*).
#
# **What you will see**
#
# - how one number goes downhill, and how the slopes of two layers are found, in twenty lines
# - what different measures of error hear, and what they are deaf to
# - several measures pulling at once, and a balancer that gives each its share
# - codebook entries that die when the encoder moves on, and how they are brought back
# - a codec that learns ten seconds by heart in about a minute, and how it sounds on the way
# - the same codec with a head start: it begins as a transform codec
# - an adversary that learns to tell the copy from the original

# %%
import tempfile
from dataclasses import replace

import book
import matplotlib.pyplot as plt
import numpy as np
import torch

import tinyencodec
from tinyencodec.codec.config import CodecConfig
from tinyencodec.train import losses
from tinyencodec.train.balancer import Balancer
from tinyencodec.train.discriminator import StftDiscriminator
from tinyencodec.train.loudness import Loudness, loudness_loss
from tinyencodec.train.mel import MelScales
from tinyencodec.train.network import save
from tinyencodec.train.quantizer import Codebook
from tinyencodec.train.recipe import Recipe
from tinyencodec.train.trainer import Trainer

book.open_chapter()
torch.manual_seed(0)
# the arrays here are small: threads would only wait for each other
torch.set_num_threads(1)

# %% tags=["remove-input"]
book.drawing("here", chapter=14)

# %% [markdown]
# ## Downhill on one number
#
# Let the whole codec be one number: the copy of the sound $x$ is $g\,x$, and the best $g$ is of course 1. A
# [loss](glossary.md#loss) says how bad a copy is; here we take the mean of $(gx - x)^2$, divided by that of $x^2$,
# which is $(g - 1)^2$. How does it change if $g$ grows a little? Its slope is $2(g - 1)$: negative below 1, so there
# the loss falls as $g$ grows. *Gradient descent* takes a step against the slope, again and again:
#
# $$ g \leftarrow g - \text{rate} \cdot \text{slope} $$
#
# The factor is the *learning rate*. If it is too small, learning takes for ever. If it is too large, each step jumps
# across the valley and lands higher up on the other side.

# %%
def descend(rate, steps=20, g=0.0):
    """The value of g at each step."""
    course = [g]
    for _ in range(steps):
        slope = 2 * (g - 1)
        g = g - rate * slope
        course.append(g)
    return np.array(course)


courses = {rate: descend(rate) for rate in (0.02, 0.2, 0.95, 1.02)}
loss_at_end = {rate: (course[-1] - 1) ** 2 for rate, course in courses.items()}
assert loss_at_end[0.2] < 1e-8 < loss_at_end[0.02] < 1 < loss_at_end[1.02]

# %% tags=["hide-input"]
for rate, course in courses.items():
    plt.plot(course, ".-", label=f"learning rate {rate:g}")
plt.axhline(1, color="0.6", linewidth=0.8, linestyle="--")
plt.gca().set(title="One number on its way to 1", xlabel="step", ylabel="g",
              xticks=range(0, 21, 5))
plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
book.show("one_number")

# %% [markdown]
# *Adam*, a method that trains most networks today, adds two things. It takes the mean of the latest slopes, so that it
# keeps its direction for a while. And it gives each number a rate of its own, smaller where the slopes have been large.
#
# ## Backwards through two layers
#
# A network has millions of numbers, and each needs its slope. To nudge one after the other, and look at the loss each
# time, would take millions of runs. *Back-propagation* finds all slopes in one walk from the end to the start. For our
# network two rules are enough:
#
# - Where a function is applied to each number, the slope is multiplied by the slope of that function.
# - Where a matrix is applied, $y = x W$, the slopes of $x$ are those of $y$ times $W^T$, and the slopes of $W$ are
#   $x^T$ times those of $y$. ($W^T$, $W$ *transposed*, is $W$ with rows and columns exchanged.)
#
# Here is a network of two layers with an ELU ([chapter 6](06_elu_weightnorm_residual.py)) between them, there and back.

# %%
def there_and_back(x, target, w1, w2):
    """The loss, and its slopes with respect to w1 and w2."""
    a = x @ w1  # there
    b = np.where(a > 0, a, np.exp(np.minimum(a, 0)) - 1)  # ELU
    y = b @ w2
    loss = np.mean((y - target) ** 2)

    of_y = 2 * (y - target) / y.size  # and back: how the loss changes with each y
    of_w2 = b.T @ of_y
    of_b = of_y @ w2.T
    # times the slope of the ELU
    of_a = of_b * np.where(a > 0, 1, np.exp(np.minimum(a, 0)))
    of_w1 = x.T @ of_a
    return loss, of_w1, of_w2


rng = np.random.default_rng(0)
x, target = rng.standard_normal((2, 50, 4))
w1, w2 = rng.standard_normal((4, 8)), rng.standard_normal((8, 4))
loss, of_w1, of_w2 = there_and_back(x, target, w1, w2)

# %% [markdown]
# PyTorch finds the same slopes, and so do we if we nudge one number by hand. Then we go downhill:

# %%
w1_torch, w2_torch = (torch.tensor(w, requires_grad=True) for w in (w1, w2))
output = torch.nn.functional.elu(torch.tensor(x) @ w1_torch) @ w2_torch
torch.mean((output - torch.tensor(target)) ** 2).backward()  # fills in w1_torch.grad
assert np.allclose(w1_torch.grad, of_w1) and np.allclose(w2_torch.grad, of_w2)

nudged = w1.copy()
nudged[2, 3] += 1e-6
by_hand = (there_and_back(x, target, nudged, w2)[0] - loss) / 1e-6
assert np.isclose(by_hand, of_w1[2, 3], rtol=1e-3)

losses_so_far = []
for _ in range(300):
    loss, of_w1, of_w2 = there_and_back(x, target, w1, w2)
    w1, w2 = w1 - 0.1 * of_w1, w2 - 0.1 * of_w2
    losses_so_far.append(loss)
assert losses_so_far[-1] < 0.2 * losses_so_far[0]
book.say(f"300 steps downhill bring the loss from {losses_so_far[0]:.2f} to "
         f"{losses_so_far[-1]:.2f}. From here on PyTorch finds the slopes for us.")

# %% [markdown]
# ## What is a good copy?
#
# Now the loss of a real codec: how bad is a reconstruction $y$ of the signal $x$? The simplest losses compare sample by
# sample: the mean of $\lvert x - y \rvert$, which is called L1, or the energy of $x - y$ divided by the energy of $x$
# (plus a little, so that silence does not lead to a division by zero).
#
# Ears work differently. They hear which frequencies are there, how strong they are, and when. So another loss compares
# spectrograms. It sums magnitudes up in [mel bands](glossary.md#mel-bands), which are narrow at low frequencies and
# wide at high ones, like those of the ear, and takes logarithms, since we hear ratios. It does so with windows of seven
# lengths, from 32 to 2048 samples: the short ones see *when*, the long ones *which frequency*.
#
# A third loss is modelled on [PESQ](glossary.md#pesq), a measure of speech quality that was fitted to listening tests.
# It compares how *loud* each band is to the ear, forgives what a filter or a slow change of volume does, and objects
# most to what was added.
#
# Let us spoil a sentence in five ways and ask all three.

# %%
# [B, C, T], 2 s
speech = torch.from_numpy(book.recording("speech")[None, :, 9_600:57_600])
spectrum = torch.fft.rfft(speech)
frequency = torch.fft.rfftfreq(speech.shape[2], 1 / 24_000)
spoilt = {
    "silence": torch.zeros_like(speech),
    "upside down": -speech,
    "1 ms late": torch.roll(speech, 24, dims=2),
    "only below 1 kHz": torch.fft.irfft(spectrum * (frequency < 1000)),
    "with hiss": speech + 0.02 * torch.randn(speech.shape),
}
mel = MelScales(24_000)
squared = {name: float(losses.relative_squared_error(speech, y))
           for name, y in spoilt.items()}
spectral = {name: float(losses.mel_loss(mel(speech), mel(y)))
            for name, y in spoilt.items()}
loudness = Loudness(24_000)
audible = {name: float(loudness_loss(loudness, speech, y)) for name, y in spoilt.items()}

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(11, 2.8), sharey=True)
for axis, title, found in zip(axes,
                              ("relative squared error", "mel loss", "loss like PESQ"),
                              (squared, spectral, audible)):
    axis.barh(list(found), list(found.values()))
    axis.set(title=title, xlabel="loss")
axes[0].invert_yaxis()
book.show("losses")

# %%
book.play(24_000, as_it_was=speech[0],
          **{name: y[0] for name, y in spoilt.items() if name != "silence"})
assert spectral["upside down"] < 1e-3 < squared["silence"] < squared["upside down"]
assert audible["upside down"] < 1e-3
book.claim(squared["only below 1 kHz"] < 0.5 * squared["1 ms late"],
           "to the squared error, missing treble is less than a delay of 1 ms")
book.claim(spectral["1 ms late"] < spectral["with hiss"],
           "to the mel loss, a hiss is worse than a delay")
book.claim(audible["1 ms late"] < audible["only below 1 kHz"] < audible["with hiss"],
           "to the loudness loss, a hiss is worst")

# %% [markdown]
# To the squared error, a copy that is upside down is worse than silence, though no ear can tell it from the original.
# Missing treble and a hiss, which every ear notices, hardly count. For the mel loss it is the other way round. Neither
# alone makes a good codec. Trained on the first alone, it sounds dull. Trained on the second alone, it loses the
# waveform, and with it a good reason to use more codebooks (exercise 2). So both are used.
#
# The third loss puts a hiss about on a par with silence. It is used at the end of training. Never grade a model only by
# the metric that it was trained on.
#
# ## Who may pull how hard
#
# The *gradient* of a loss is the list of all slopes: how the loss changes when each number is changed a little. It is
# an arrow with as many entries as there are numbers. We can also ask for the gradient with respect to the *output*.
# Then it is itself a waveform. Turned around, it is what the loss wants to have added at each sample. From there
# PyTorch carries it back into all the weights.

# %%
y = spoilt["only below 1 kHz"].clone().requires_grad_(True)
found = {"l1": losses.l1_time(speech, y),
         "squared": losses.relative_squared_error(speech, y),
         "mel": losses.mel_loss(mel(speech), mel(y))}
gradients = {name: torch.autograd.grad(loss, y, retain_graph=True)[0]
             for name, loss in found.items()}

# %% tags=["hide-input"]
_, axes = plt.subplots(3, 1, figsize=(9, 4.6), sharex=True)
part = slice(10_000, 10_240)
for axis, (name, gradient) in zip(axes, gradients.items()):
    wanted = -gradient[0, 0, part].numpy()
    axis.plot(np.arange(part.start, part.stop) / 24, wanted / np.abs(wanted).max())
    axis.set(ylabel="change", ylim=(-1.15, 1.15), yticks=(-1, 0, 1),
             title=f"What the loss {name} wants to have added "
                   f"(length of the whole arrow: {gradient.norm():.2g})")
axes[-1].set_xlabel("time (ms)")
book.show("gradients")

# %% [markdown]
# The first says only "up" or "down" at each sample, the second asks for what is missing, the third for something with
# the right spectrum. Now look at the lengths in the titles. They are very different, for no better reason than how each
# loss happens to be defined. If the losses were just added, the one with the longest arrow would rule. One could tune
# factors by hand, again and again whenever something changes. EnCodec's [balancer](glossary.md#balancer) (Equation 5 of
# the paper) does it automatically. It divides each arrow by its own average length, so that each loss gets the share
# that its weight $w_i$ asks for:
#
# $$ g = \sum_i \frac{w_i}{\sum_j w_j} \cdot \frac{g_i}{\langle \lvert g_i \rvert \rangle} $$
#
# The angle brackets mean a moving average over the steps of training, in which old steps slowly fade.

# %%
weights = {"l1": 0.1, "squared": 1.0, "mel": 1.0}
balancer = Balancer()
balanced = balancer.gradient(found, weights, y)
ours = sum(w / sum(weights.values()) * gradients[name] / gradients[name].norm()
           for name, w in weights.items())
# in the first step the average is the length itself
assert torch.allclose(balanced, ours, atol=1e-6)
lengths = {name: float(weights[name] * gradient.norm())
           for name, gradient in gradients.items()}
shares = {"weighted sum": [value / sum(lengths.values()) for value in lengths.values()],
          "balanced": [w / sum(weights.values()) for w in weights.values()]}

# %% tags=["hide-input"]
for i, (label, values) in enumerate(shares.items()):
    bars = plt.bar(np.arange(3) + 0.4 * (i - 0.5), 100 * np.array(values), width=0.38,
                   label=label)
    plt.bar_label(bars, fmt="%.1f")
plt.xticks(range(3), [f"{name}, weight {w:g}" for name, w in weights.items()])
plt.gca().set(ylabel="share of the gradient (%)", title="Who decides", ylim=(0, 105))
plt.legend()
book.show("balancer")

# %% [markdown]
# ## Learning through a quantiser
#
# In the middle of the codec there is a decision: which entry is *nearest*? Move a latent a little, and usually nothing
# changes at all. So the gradient is zero, and the encoder would never learn anything. The remedy is bold. On the way
# back we pretend that the quantiser is not there, and pass the decoder's gradient straight through to the encoder (a
# *straight-through estimator*). To make the pretence nearly true, a *commitment loss* (Equation 3) pulls the latents
# towards the entries that they chose.
#
# The entries learn without any gradient, by the k-means of [chapter 9](09_rvq.py), a little at a time. For each entry
# two moving averages are kept ([EMA](glossary.md#ema), exponential moving average): how many vectors of a batch chose
# it, $n$, and the sum of these vectors.
#
# $$ \begin{aligned} \text{count} &\leftarrow 0.99\, \text{count} + 0.01\, n \\
#    \text{total} &\leftarrow 0.99\, \text{total} + 0.01 \sum z \\ e &= \text{total} / \text{count} \end{aligned} $$
#
# This has a weakness. An entry that no vector chooses does not move. As the encoder goes on learning, the latents move
# away from it: it is dead. In the worst case all vectors choose the same few entries, which is called [codebook
# collapse](glossary.md#codebook-collapse). The package's `Codebook` looks for entries whose count has faded to almost
# nothing, and moves each of them to a vector of the present batch. We let a cloud of latents drift, as it does when an
# encoder learns, and train 32 entries on it, without this replacement and with it.

# %%
def cloud(step, generator):
    """256 latents in the plane; the cloud moves and grows during the first 300 steps."""
    way = min(step / 300, 1)
    points = torch.randn(256, 2, generator=generator) * (0.3 + 0.9 * way)
    return points + way * torch.tensor([5.0, 2.5])


generator = torch.Generator().manual_seed(0)
with_care = Codebook(32, 2)
with_care.start(cloud(0, generator), generator)
entries = with_care.embed.clone()  # the same start for both
count, total = torch.full((32,), 8.0), 8 * entries
used = {"without replacement": [], "with replacement": []}
for step in range(600):
    vectors = cloud(step, generator)
    chosen = torch.cdist(vectors, entries).argmin(dim=1)
    one_hot = torch.nn.functional.one_hot(chosen, 32).float()  # [256, 32]
    count = 0.99 * count + 0.01 * one_hot.sum(dim=0)
    total = 0.99 * total + 0.01 * one_hot.T @ vectors
    entries = total / count[:, None].clamp(min=1e-20)
    used["without replacement"].append(len(chosen.unique()))
    chosen = with_care.nearest(vectors)
    with_care.learn(vectors, chosen, generator)
    used["with replacement"].append(len(chosen.unique()))

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(11, 3.2))
for axis, title, places in ((axes[0], "without replacement", entries),
                            (axes[1], "with replacement", with_care.embed)):
    axis.plot(*vectors.T.numpy(), ".", color="#7d8590", markersize=2, label="latents")
    axis.plot(*places.T.numpy(), "o", color="#c2308f", markersize=4, label="entries")
    axis.set(title=title, xlabel="first number", ylabel="second number")
    axes[2].plot(used[title], label=title)
axes[0].legend()
axes[2].set(xlabel="step", ylabel="entries used in a batch", title="Of 32 entries",
            ylim=(0, 33))
axes[2].legend(loc=(0.18, 0.6), fontsize=8)
book.show("collapse")

# %%
assert np.mean(used["without replacement"][-50:]) < 12
assert np.mean(used["with replacement"][-50:]) > 24
book.say(f"In the end a batch uses {np.mean(used['without replacement'][-50:]):.1f} of "
         f"the 32 entries on average without replacement, and "
         f"{np.mean(used['with replacement'][-50:]):.1f} with it. The cure takes time: "
         f"the count of an unused entry fades by one per cent a step, and the entry is "
         f"replaced only when the count is nearly gone.")

# %% [markdown]
# ## Ten seconds by heart
#
# Now a codec. A real one takes several graphics cards and thousands of hours of sound. Ours is small, with 8 filters
# and three stages. It works at 8 kHz, and need not know anything but ten seconds: five of speech, five of guitar. A
# machine that learns a few examples by heart is said to *overfit*. Usually that is a fault; here it is a test that
# everything works.
#
# The package's `Trainer` takes the steps. It needs a source of clips, so we give it one.

# %%
config = CodecConfig(sampling_rate=8000, num_filters=8, upsampling_ratios=(5, 4, 2),
                     num_lstm_layers=1, hidden_size=32, codebook_size=64,
                     target_bandwidths=(1.2, 2.4, 4.8, 9.6))
assert (config.hop_length, config.frame_rate, config.bits_per_code,
        config.n_codebooks) == (40, 200, 6, 8)
speech = book.recording("speech", 8000)[:, 1600:41_600]
guitar = book.recording("guitar", 8000, seconds=5)
# [1, 80000]
sound = np.concatenate([0.7 * x / np.abs(x).max() for x in (speech, guitar)], axis=1)


class Clips:
    """Random half seconds of the sound."""

    def batch(self, step, size, rank=0):
        starts = np.random.default_rng(step).integers(sound.shape[1] - 4000, size=size)
        # [B, 1, 4000]
        return np.stack([sound[:, start:start + 4000] for start in starts])


recipe = Recipe(start="random", batch=4, seconds=0.5, lr=2e-3, rise=20, steps=400,
                cooldown=150, unquantized=200, bypass=0.5, mel=1.0)
trainer = Trainer(recipe, Clips(), config)
book.say(f"{sum(p.numel() for p in trainer.parameters)} numbers to learn, beside 8 "
         f"codebooks of 64 entries.")

# %% [markdown]
# The recipe has stages. For the first 200 steps there is no quantiser, and only the relative squared error counts, so
# that the network learns to let the signal through. Then k-means sets up the codebooks, the mel loss joins in, and the
# balancer shares out the gradient. In each step the number of codebooks is random, so that all four bitrates are
# learnt. In the last 150 steps the learning rate falls to zero.

# %%
original = torch.from_numpy(sound)[None]  # [1, 1, T]
log, snapshots = [], {}
while trainer.step < recipe.steps:
    figures = trainer.take_step(trainer.mixer.batch(trainer.step, recipe.batch))
    if trainer.step % 25 == 0:
        with torch.no_grad():
            straight = trainer.codec.sound(trainer.codec.latent(original), original)
        row = [trainer.step, float(losses.si_snr(original, straight))]
        for n in (1, 2, 4, 8):
            started = trainer.codec.quantizer.started
            y = trainer.codec.reconstruct(original, n) if started else straight * np.nan
            row.append(float(losses.si_snr(original, y)))
        log.append(row)
    if trainer.step in (25, 100, 200):
        snapshots[f"after {trainer.step} steps"] = straight[0].numpy()
log = np.array(log)

# %% tags=["hide-input"]
for column, label in enumerate(("no quantiser", "1.2 kbit/s", "2.4 kbit/s", "4.8 kbit/s",
                                "9.6 kbit/s"), 1):
    plt.plot(log[:, 0], log[:, column], ".-", label=label)
plt.axvline(200, color="#7d8590", linestyle=":", label="the quantiser joins")
plt.gca().set(xlabel="step", ylabel="SI-SNR (dB)", title="Ten seconds, learnt by heart",
              ylim=(-6, None))
plt.legend(ncols=2)
plt.grid(True)
book.show("training")

# %%
book.claim(log[-1, 5] > 3 and log[-1, 5] > log[-1, 2] + 1,
           "ten seconds can be learnt, and more codebooks help")
book.say(f"At the end: {log[-1, 1]:.1f} dB without quantiser, {log[-1, 5]:.1f} dB at 9.6 "
         f"kbit/s, {log[-1, 2]:.1f} dB at 1.2 kbit/s.")

# %% [markdown]
# ([SI-SNR](glossary.md#si-snr) is the signal-to-noise ratio after the best possible change of volume, so a copy that is
# merely too soft is not punished.) More codebooks, less error. If the curves on the right lay on top of each other, the
# codebooks would be useless, and something would be wrong. Now listen to what the small codec has learnt.

# %%
with torch.no_grad():
    copies = {f"{rate:g} kbit/s": trainer.codec.reconstruct(original, n)[0].numpy()
              for rate, n in zip(config.target_bandwidths, (1, 2, 4, 8))}
book.play(8000, ten_seconds=sound, **snapshots, **copies)

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True)
for axis, title, x in ((axes[0], "original", sound),
                       (axes[1], "after 25 steps", snapshots["after 25 steps"]),
                       (axes[2], "9.6 kbit/s", copies["9.6 kbit/s"])):
    level, extent = book.spectrogram(x[0], 8000, window=512)
    image = axis.imshow(level, extent=extent, vmin=-90, vmax=-20, cmap="magma")
    axis.set(title=title, xlabel="time (s)")
axes[0].set_ylabel("frequency (kHz)")
plt.colorbar(image, ax=axes, label="level (dB)")
book.show("learnt")

# %% [markdown]
# It follows the waveform where the energy is. Elsewhere it is dull and rough. That is how far four hundred steps go.
#
# What was trained with PyTorch runs without it. `save` writes a model folder, and from then on this is a model like any
# other, with streaming, files and all the rest.

# %%
with tempfile.TemporaryDirectory() as folder:
    save(trainer.codec, folder)
    model = tinyencodec.load_model(folder)
clip = sound[:, 8000:16_000]
heard = model.decode(model.encode(clip, 9.6), clip.shape[1])
with torch.no_grad():
    expected = trainer.codec.reconstruct(torch.from_numpy(clip)[None], 8)[0].numpy()
assert 10 * np.log10(np.sum(expected**2) / np.sum((heard - expected) ** 2)) > 20
book.say(f"One second in NumPy differs from PyTorch by at most "
         f"{np.abs(heard - expected).max():.1e}.")

# %% [markdown]
# ## A better place to begin
#
# Why start from random numbers at all? There were codecs long before there were networks. The classic kind cuts the
# sound into blocks, describes each block by cosines of rising frequency, the [cosine
# transform](glossary.md#cosine-transform), and keeps the lowest of them. All of that is multiplication and addition. So
# is a network, except for its ELUs, and there is a way around their bend: $\mathrm{ELU}(v) - \mathrm{ELU}(-v) \approx
# 2v$ as long as $v$ is small. So every number travels as a pair, $v$ and $-v$. Each strided convolution collects a
# longer block, the last one computes the cosines, and the layers of the decoder undo all this step by step. The package
# can do so for any configuration. It also makes the coefficients more equal in size, so that the quantiser does not
# spend all its bits on the few loud ones. Here are both starts, without a quantiser.

# %%
def first_errors(start, steps=60):
    """The relative squared error of the first steps of training."""
    learner = Trainer(replace(recipe, start=start, lr=5e-4), Clips(), config)
    return [learner.take_step(learner.mixer.batch(learner.step, recipe.batch))["squared"]
            for _ in range(steps)]


errors = {start: first_errors(start) for start in ("random", "transform")}

# %% tags=["hide-input"]
for start, values in errors.items():
    plt.semilogy(values, label=f"{start} start")
plt.gca().set(xlabel="step", ylabel="relative squared error",
              title="Where training begins")
plt.legend(loc="center left", bbox_to_anchor=(0, 0.63), ncols=2)
plt.grid(True)
book.show("starts")

# %%
book.claim(max(errors["transform"][:5]) < min(errors["random"]),
           "the transform is better at the start than the other after 60 steps")
book.say(f"At its first step the transform start has an error of "
         f"{errors['transform'][0]:.3f}. The random start begins at "
         f"{errors['random'][0]:.2f} and is at {np.mean(errors['random'][-10:]):.2f} "
         f"after 60 steps.")

# %% [markdown]
# A codec that begins there does not have to discover that its latent can hold a waveform. It can use its training for
# what no transform can do: find out which parts of a sound matter, and make up what was not sent. Both models that come
# with this package began like this. You saw the pair $v$ and $-v$ in the first two kernels of
# [chapter 2](02_convolution.py). The paper does not have this start; it is our own recipe.

# %% [markdown]
# ## The adversary
#
# One ingredient of EnCodec is still missing, and it is the one that makes EnCodec sound natural. It is also missing
# from the models that you have heard in this book. No formula says what natural is, so a second network learns it: the
# [discriminator](glossary.md#discriminator). It sees the complex spectrum of a sound, real and imaginary parts, so it
# also knows the phases, which the spectrograms of [chapter 1](01_sound_as_numbers.py) do not show. It gives scores,
# high for recordings and low for what comes out of the codec. It learns by the *hinge loss*,
#
# $$ \max(0, 1 - \text{score of a recording}) + \max(0, 1 + \text{score of a copy}) $$
#
# which is satisfied once the scores are beyond $\pm 1$. The codec, in turn, learns to get high scores. So each makes
# the other better: whatever gives the copy away is the next thing that the codec learns to improve. Here is the first
# half of the game: a small discriminator that studies our codec.

# %% tags=["remove-input"]
book.drawing("training_loop")

# %%
judge = StftDiscriminator(channels=1, filters=8, window=256)
optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3, betas=(0.5, 0.9))
copy, scores = torch.from_numpy(copies["9.6 kbit/s"])[None], []
for step in range(101):
    if step % 5 == 0:
        with torch.no_grad():
            scores.append([float(judge(x)[0].mean()) for x in (original, copy)])
    starts = np.random.default_rng(step).integers(sound.shape[1] - 4000, size=8)
    real, fake = (torch.stack([x[0, :, s:s + 4000] for s in starts])
                  for x in (original, copy))
    (real_scores, _), (fake_scores, _) = judge(real), judge(fake)
    loss = losses.hinge_real_fake([real_scores], [fake_scores])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %% tags=["hide-input"]
plt.plot(range(0, 101, 5), scores, ".-", label=["recording", "copy at 9.6 kbit/s"])
plt.gca().set(xlabel="step of the discriminator", ylabel="mean score",
              title="The judge learns to tell them apart")
plt.legend()
plt.grid(True)
book.show("judge")

# %%
gap = np.array(scores)[-5:] @ [1, -1]
book.claim(gap.mean() > 0.3, "the judge learns to tell them apart")
book.say(f"At first both have about the same score. In the last steps the recording's "
         f"score is higher by {gap.mean():.2f} on average.")

# %% [markdown]
# The paper has five such judges, with windows from 128 to 2048 samples. Its codec also learns by *feature matching*
# (Equation 2): the inner layers of the judges should respond to the copy as they do to the original. We tried to add an
# adversary to the bundled model at the end, for 740 steps, which was all that our processor had time for. By every
# measure the sound became worse. The figures are on the model's card, `weights/tiny_24khz/README.md`.
#
# ## In the paper, and here
#
# Much of this chapter is this package's own recipe. [The paper](https://arxiv.org/abs/2210.13438) has this one
# (sections 3.2, 3.4 and 4.4):
#
# | | paper | the bundled 24 kHz model |
# |---|---|---|
# | time | L1 | relative squared error, and little or no L1 |
# | spectrum | L1 and L2 of 64 mel bands, windows of $2^5$ to $2^{11}$ (Equation 1) | the same, of logarithms |
# | adversary | five discriminators, hinge loss, feature matching (Equation 2) | none |
# | envelope, loudness | – | losses modelled on STOI and PESQ, in later steps |
# | quantiser | commitment (Equation 3), straight through, EMA, dead entries replaced | the same |
# | balancer | weights 0.1 time, 1 spectrum, 3 adversary, 3 features (Equation 5) | the same formula, other weights |
# | start | nothing said | a transform codec |
# | length | 600 000 steps of 64 × 1 s, on 8 GPUs | some 50 000 steps of mostly 8 × 0.8 s, on a processor |
#
# So if the codec of this book sounds rough, that is not EnCodec's fault. It is what such a network reaches after hours
# of training without an adversary. [What listeners said of EnCodec](results.md#what-listeners-said-of-encodec) is on
# the page with the results. To hear its released weights, run by the same code: `tinyencodec fetch encodec_24khz`.
#
# ## Summary
#
# - A loss says how bad a copy is. Losses of samples and losses of spectra are deaf to different things; both are
#   needed.
# - The balancer gives each loss its share of the gradient, whatever its scale.
# - Gradients pass straight through the quantiser. Entries follow by moving averages, and dead ones are replaced.
# - A network can begin as a transform codec, and then learn only what a transform cannot do.
# - A discriminator learns what gives the copy away, so that the codec can learn to do better.
# - A good check of any training: does every codebook help?
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/14_training.md), each behind a click.
#
# 1. *Easy.* Which of the five spoilt sentences get better when they are played 6 dB softer, according to the relative
#    squared error? And according to the mel loss? Explain the results for "upside down" and for "with hiss".

# %%
better_by_squared, better_by_mel = ..., ...  # sets of names
book.check("14.1", better_by_squared, better_by_mel)

# %% [markdown]
# 2. *Medium.* Train the small codec once more, with the mel loss only (`squared=0, l1=0` in the recipe) after the first
#    stage. What happens to the SI-SNR with 8 codebooks, to the mel loss, and to the gain from more codebooks?

# %%
si_snr_of_mel_only = ...  # dB
book.check("14.2", si_snr_of_mel_only)

# %% [markdown]
# 3. *Harder.* Give the small codec something it has not learnt: the same guitar two semitones higher, or your own
#    voice. By what factor must the guitar run faster for that? How much worse is the codec than on its ten seconds,
#    with and without the quantiser? What does that tell you?

# %%
faster = ...
book.check("14.3", faster)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.train.losses`, `tinyencodec.train.mel`, `tinyencodec.train.fine`, `tinyencodec.train.envelope`,
#   `tinyencodec.train.loudness`, `tinyencodec.train.balancer`, `tinyencodec.train.discriminator`: the losses, and how
#   they share the gradient.
# - `tinyencodec.train.augment`, `tinyencodec.train.average`: altered sounds, and averaged weights, both optional.
# - `tinyencodec.train.quantizer`: k-means start, moving averages, replacement.
# - `tinyencodec.train.refit`: fits the codebooks once more when the encoder is done. From gradients it measures how
#   loud an error in each direction of the latent would be, and turns the latent so that the loud ones become small.
# - `tinyencodec.train.trainer`, `tinyencodec.train.recipe`: one step, and the numbers of a run.
# - `tinyencodec.train.transform`, `tinyencodec.train.transform_start`: the start as a transform codec.
# - `tinyencodec.train.codec`: `python -m tinyencodec.train.codec`, real training, which can be stopped and resumed.
