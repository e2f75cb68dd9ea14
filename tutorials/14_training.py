# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 14 Training
#
# All chapters so far used weights already trained. Where do they come from? Somebody wrote down what a good
# reconstruction is, and let a computer change all numbers, a little at a time, in the direction that makes the
# reconstruction better. In this chapter you will do that: first with a single number, then with two layers by hand,
# then with a very small codec and ten seconds of sound.
#
# It needs PyTorch (`pip install '.[train]'`), the only chapter that does. PyTorch remembers how each result was
# computed and can say, for millions of numbers at once, in which direction to change them (*autograd*).
#
# **What you will see**
#
# - how one number goes downhill, and how the slopes of two layers are found, in twenty lines
# - what different measures of error hear, and what they are deaf to
# - several measures pulling at once, and a balancer that gives each the share that was asked for
# - codebook entries that die when the encoder moves on, and how they are brought back
# - a codec that learns ten seconds by heart in less than a minute, heard on the way
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
# The factor is the *learning rate*. Too small, and it takes for ever; too large, and it jumps across the valley, higher
# each time.

# %%
def descend(rate, steps=20, g=0.0):
    """The course of g."""
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
plt.gca().set(title="One number on its way to 1", xlabel="step", ylabel="g")
plt.legend(ncols=2)
book.show("one_number")

# %% [markdown]
# *Adam*, which trains nearly all networks, does this with two additions: it goes on for a while in the direction it
# had, and gives each number a rate of its own, smaller where slopes have been large.
#
# ## Backwards through two layers
#
# A network has millions of numbers, and each needs its slope. To change one after the other and look would take
# millions of runs. *Back-propagation* finds all of them in one walk from the end to the start. Two rules suffice.
# Through a function applied to each number, a slope is multiplied by the function's own slope. Through a product $y = x
# W$, the slopes of $x$ are those of $y$ times $W$ turned on its side, and the slopes of $W$ are $x$, turned, times
# those of $y$. Here is a network of two layers with an ELU ([chapter 6](06_elu_weightnorm_residual.py)) between them,
# there and back.

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
# PyTorch finds the same, and so does changing one number by hand:

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
         f"{losses_so_far[-1]:.2f}. From here on PyTorch walks back for us.")

# %% [markdown]
# ## What is a good copy?
#
# Now the loss of a real codec: how bad is a reconstruction $y$ of the signal $x$? The simplest compares sample by
# sample: the mean of $\lvert x - y \rvert$, or the energy of $x - y$ divided by the energy of $x$ (and a little more,
# so that silence is no division by zero). Ears work differently. They hear which frequencies are there, how strong, and
# when. So another loss compares spectrograms: magnitudes of short windows, summed up in [mel
# bands](glossary.md#mel-bands), which are as narrow as the ear's at low frequencies and wide at high ones, and in
# logarithms, since we hear ratios. It does so with windows of seven lengths, from 32 to 2048 samples: the short ones
# see *when*, the long ones *which frequency*.
#
# A third measure is made from what listening tests say: [PESQ](glossary.md#pesq). It compares how *loud* the bands of a
# copy are to an ear, forgives what a filter or a slow gain does, and minds most of all what was added. The package has
# a loss after it.
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
                              ("relative squared error", "mel loss", "loss after PESQ"),
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
# Missing treble and a hiss in the pauses, which every ear notices, cost it little. The mel loss has it the other way
# round. Neither alone makes a good codec: trained on the first it sounds dull, trained on the second alone it loses the
# waveform, and with it the reason to use more codebooks. So both are used.
#
# The third puts a hiss nearly on a par with silence. It is for the end of training. Never grade a model only by the
# metric that it was trained on.
#
# ## Who may pull how hard
#
# The *gradient* of a loss says how the loss changes when each number is changed a little: it is an arrow with as many
# entries as there are numbers. One may ask for the gradient with respect to the *output*. Then it is a waveform itself:
# what the loss wants to have added at each sample. From there PyTorch carries it back into all weights.

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
# The first says only "up" or "down" at each sample, the second asks for what is missing, the third for something that
# sounds like it. Now look at the lengths in the titles: the arrows are very different, for no better reason than how
# each loss happens to be written. If the losses were just added, the one with the longest arrow would rule. One could
# tune factors by hand, and again whenever anything changes. EnCodec's [balancer](glossary.md#balancer) does it by
# itself: it divides each arrow by its own average length, so that what we ask for by the weights $w_i$ is what each
# gets:
#
# $$ g = \sum_i \frac{w_i}{\sum_j w_j} \cdot \frac{g_i}{\langle \lvert g_i \rvert \rangle} $$
#
# The angle brackets are a moving average over the steps of training, which forgets slowly.

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
plt.gca().set(ylabel="share of the gradient (%)", title="Who decides", ylim=(0, 100))
plt.legend()
book.show("balancer")

# %% [markdown]
# ## Learning through a quantiser
#
# In the middle of the codec stands a decision: the *nearest* entry. Move a latent a little, and usually nothing happens
# at all; the gradient is zero, and the encoder would never learn anything. The remedy is bold. On the way back one
# pretends that the quantiser is not there and hands the decoder's gradient straight through to the encoder (*straight
# through*). To keep this from going astray, a *commitment loss* pulls the latents towards the entries they chose.
#
# The entries learn without any gradient, by the k-means of [chapter 9](09_rvq.py) done a little at a time. Of each
# entry one keeps two moving averages ([EMA](glossary.md#ema), exponential moving average): how many vectors chose it in
# a batch, and their sum.
#
# $$ \text{count} \leftarrow 0.99\, \text{count} + 0.01\, n, \qquad
#    \text{total} \leftarrow 0.99\, \text{total} + 0.01 \sum z, \qquad e = \text{total} / \text{count} $$
#
# This has a weakness. An entry that nobody chooses does not move, and as the encoder goes on learning, the latents move
# away from it: it is dead. In the extreme all vectors choose the same few entries, which is called [codebook
# collapse](glossary.md#codebook-collapse). The package's `Codebook` watches for entries whose count has faded to almost
# nothing, and puts each of them on a vector of the present batch. We let a cloud of latents drift, as it does when an
# encoder learns, and follow it in both ways.

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
book.say(f"In the end {np.mean(used['without replacement'][-50:]):.1f} entries are used "
         f"on average without replacement, {np.mean(used['with replacement'][-50:]):.1f} "
         f"with it. The cure takes its time: the count of an unused entry fades by one "
         f"per cent a step, and only when it is nearly gone is the entry declared dead.")

# %% [markdown]
# ## Ten seconds by heart
#
# Now a codec. A real one takes days on a graphics card and hours of sound. Ours is small, 8 filters and three stages,
# works at 8 kHz, and need not know anything but ten seconds: five of speech, five of guitar. A machine that learns a
# few examples by heart is said to *overfit*, usually a fault; here it is a test that everything works.
#
# The package's `Trainer` takes the steps. It wants a source of clips, so we give it one.

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
# A recipe has stages. For the first 200 steps there is no quantiser, and the relative squared error alone teaches the
# signal to pass through. Then k-means sets up the codebooks, the mel loss joins in, and the balancer shares out the
# gradient. In each step the number of codebooks is random, so that all four bitrates are learnt. In the
# last steps the *learning rate*, the size of the steps, falls to zero.

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
              ylim=(-15, None))
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
# merely too soft is not punished.) More codebooks, less error: if the curves at the right lay on top of each other, the
# codebooks would be of no use, and something would be wrong. Now listen to what was reached in less than a minute.

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
# It follows the waveform where the energy is and is dull and rough elsewhere. That is what four hundred steps buy.
#
# What was trained with PyTorch runs without it. `save` writes a model folder, and from then on it is a model like any
# other, with encoder, streaming, files and all.

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
# Why start from random numbers at all? Codecs existed before networks learnt anything. The classic one cuts the sound
# into blocks, turns each into cosines of rising frequency, the [cosine transform](glossary.md#cosine-transform), and
# keeps the lowest. All of that is multiplication and addition, and so is a network, but for its ELUs; and an ELU can be
# talked out of its bend: $\mathrm{ELU}(v) - \mathrm{ELU}(-v) \approx 2v$ as long as $v$ is small. So every number
# travels as a pair, $v$ and $-v$. Each strided convolution collects a longer block, the last one computes the cosines,
# and the decoder's layers undo it step by step. The package does this for any configuration, and makes the coefficients
# more equal in size, so that the quantiser does not spend everything on the few loud ones. Here are both starts,
# without a quantiser.

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
plt.legend()
plt.grid(True)
book.show("starts")

# %%
book.claim(max(errors["transform"][:5]) < min(errors["random"]),
           "the transform starts better than the other ends")
book.say(f"Before its first step the one has an error of {errors['transform'][0]:.3f}; "
         f"the other comes from {errors['random'][0]:.2f} and is at "
         f"{np.mean(errors['random'][-10:]):.2f} after 60 steps.")

# %% [markdown]
# A codec that begins there does not have to discover that its latent can hold a waveform. It can spend its training on
# what no transform can do: to find out what of a sound matters, and to make up what was not sent. Both models that come
# with this package began like this; you saw the pair $v$ and $-v$ in the first two kernels of [chapter
# 2](02_convolution.py). It is our recipe, not the paper's, which starts from random numbers.
#
# %% [markdown]
# ## The adversary
#
# One ingredient of EnCodec is missing, the one that makes it sound natural; it is missing as well from the models that
# you have heard in this book. No formula says what natural is, so a second network learns it: the
# [discriminator](glossary.md#discriminator). It sees a complex spectrum, real and imaginary parts, so it knows of
# phases, which the spectrograms of [chapter 1](01_sound_as_numbers.py) do not show. It gives scores, high for
# recordings and low for what comes out of the codec. It learns by the *hinge loss*,
#
# $$ \max(0, 1 - \text{score of a recording}) + \max(0, 1 + \text{score of a copy}) $$
#
# which is satisfied once the scores are beyond $\pm 1$. The codec in turn learns to get high scores. So each makes the
# other better: what gives the copy away becomes the next thing that the codec has to improve. Here is the first half of
# the game, a small discriminator that studies our codec.

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
book.say(f"At first both have the same score; in the last steps the recording's is "
         f"higher by {gap.mean():.2f} on average.")

# %% [markdown]
# A real run has five such judges with windows from 128 to 2048 samples, and the codec also learns by *feature
# matching*: the judges' inner layers should respond to the copy as they do to the original. In the paper the adversary
# is there from the start. (We tried to add one to the bundled model late, for a few hundred steps, and got nothing but
# worse sound; that is all our processor had time for. The figures are on the model's card,
# `weights/tiny_24khz/README.md`.)
#
# ## In the paper, and here
#
# Much of this chapter is this package's own recipe. [The paper](https://arxiv.org/abs/2210.13438), section 3.4, has
# these losses:
#
# | | paper | here |
# |---|---|---|
# | time | L1, the mean of $\lvert x - y \rvert$ | relative squared error, and little or no L1 |
# | spectrum | mel, L1 and L2 of logarithms, windows of $2^5$ to $2^{11}$ | mel, the same windows |
# | adversary | five discriminators, hinge loss, feature matching | none in the bundled models |
# | loudness | – | a loss after PESQ, at the end |
# | quantiser | commitment, straight through, k-means start, dead entries replaced | the same |
# | balancer | weights 0.1 time, 1 spectrum, 3 adversary, 3 features | the same formula, other weights |
# | start | random | a transform codec |
# | length | 600 000 steps of 64 × 1 s, on 8 GPUs | some 50 000 steps of 8 × 0.8 s, on one processor core |
#
# So if the codec of this book sounds rough, that is not EnCodec's fault: it is what such a network does after hours of
# training without an adversary. The released weights, run by the same code, sound as the paper says: `tinyencodec fetch
# encodec_24khz`.
#
# ## Summary
#
# - A loss says what a good copy is. Sample by sample and spectrum by spectrum are deaf in opposite ways; both are
#   needed.
# - The balancer gives each loss its share of the gradient, whatever its scale.
# - A network can begin as a transform codec, and learn only what a transform cannot do.
# - Gradients pass straight through the quantiser; entries follow by moving averages, and dead ones are replaced.
# - A good check of any training: does every codebook help?
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/14_training.md), each behind a click.
#
# 1. *Easy.* Which of the five spoilt sentences get better when they are played 6 dB softer, by the relative squared
#    error? And by the mel loss? Explain the result for "upside down" and for "with hiss".

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
#    voice. By which factor must the guitar run faster for that? How much worse is it than on its ten seconds, with and
#    without quantiser? What does that tell you?

# %%
faster = ...
book.check("14.3", faster)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.train.losses`, `tinyencodec.train.mel`, `tinyencodec.train.fine`, `tinyencodec.train.envelope`,
#   `tinyencodec.train.loudness`, `tinyencodec.train.balancer`, `tinyencodec.train.discriminator`: what is wanted, and
#   who may pull how hard.
# - `tinyencodec.train.augment`, `tinyencodec.train.average`: sources altered, and weights averaged, both on demand.
# - `tinyencodec.train.quantizer`: k-means start, moving averages, replacement.
# - `tinyencodec.train.refit`: codebooks once more, when the encoder is done. It measures from gradients how loud an
#   error in each direction of the latent would be, and turns the latent so that the loud ones are small.
# - `tinyencodec.train.trainer`, `tinyencodec.train.recipe`: one step, and the numbers of a run.
# - `tinyencodec.train.transform`, `tinyencodec.train.transform_start`: the start as a transform codec.
# - `tinyencodec.train.codec`: `python -m tinyencodec.train.codec`, real training, stopped and resumed at will.
