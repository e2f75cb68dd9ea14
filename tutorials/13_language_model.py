# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 13 The language model
#
# The arithmetic coder of [chapter 12](12_arithmetic_coding.py) spends $-\log_2 p$ bits on a symbol. Whoever guesses
# better, that is, gives a higher probability $p$ to what really comes next, pays less. A [language
# model](glossary.md#language-model) is a machine for such guesses: it sees the past and says how probable each possible
# next symbol is. The famous ones predict words; ours predicts the codes of the next 13 milliseconds of sound.
#
# **What you will see**
#
# - how surprised the model is by each code of a sentence, and the bytes that this saves
# - the whole model, a transformer, rebuilt in some forty lines of NumPy
# - attention as a picture, and a vector of zeros that a frame can look at
# - why the decoder remembers keys and values instead of computing them again
# - how the last digit of one number destroys a recording, and the arithmetic that does not let it

# %%
import time

import book
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import erf

import tinyencodec
from tinyencodec.ecdc.coders import FixedCoder, load_coder
from tinyencodec.entropy.arithmetic import quantised_cdf
from tinyencodec.entropy.arithmetic_compiled import LaneDecoder
from tinyencodec.lm import exact
from tinyencodec.lm.coder import LMCoder
from tinyencodec.lm.model import LanguageModel
from tinyencodec.models.tensors import read_language_model_folder

book.open_chapter()
rng = np.random.default_rng(0)
model = tinyencodec.load_model()

# %% tags=["remove-input"]
book.drawing("here", chapter=13)

# %% [markdown]
# ## Surprise
#
# The model goes through the recording frame by frame. Before each frame it states, for each codebook, the probabilities
# of all 1024 codes. It may look at earlier frames, but not at the frame itself. In particular, its guess for codebook 2
# does not know the code of codebook 1 in the same frame. That is the price of speed: one step of the model serves all
# codebooks.
#
# So what it sees are the codes, shifted by one frame; -1 stands for "no frame yet". What it has to pay for a code,
# $-\log_2 p$, is the [surprisal](glossary.md#surprisal) of that code.

# %%
coder = load_coder("lm", model)
lm = coder.model
speech = book.recording("speech")
codes = model.encode(speech, bandwidth=6.0)[0].codes  # [K, F]
n_codebooks, n_frames = codes.shape
seen = np.concatenate([np.full((n_codebooks, 1), -1), codes[:, :-1]], axis=1)
p = lm.step(seen[None], lm.start(1, n_frames))[0]  # [F, K, N]
assert np.allclose(p.sum(axis=2), 1, atol=1e-5)

# [K, F] bits
paid = -np.log2(np.take_along_axis(p, codes.T[..., None], axis=2)[..., 0]).T
assert np.allclose(paid.sum(axis=1), coder.costs(codes), rtol=1e-3)
costliest = paid.mean(axis=0).argmax()
book.claim(paid.mean() < 10 < paid[:, costliest].mean(),
           "the model helps, but not everywhere")
book.say(f"On average a code costs **{paid.mean():.2f} bits** instead of 10; in the "
         f"costliest frame, at {costliest / 75:.2f} s, {paid[:, costliest].mean():.1f}.")

# %% tags=["hide-input"]
_, axes = plt.subplots(2, 1, figsize=(9, 4.6), sharex=True)
level, extent = book.spectrogram(speech[0], 24_000)
image = axes[0].imshow(level, extent=extent, vmin=-100, vmax=-20, cmap="magma")
plt.colorbar(image, ax=axes[0], label="level (dB)")
axes[0].set(ylabel="frequency (kHz)", title="The sentence", ylim=(0, 8))
image = axes[1].imshow(paid, extent=(0, n_frames / 75, 8.5, 0.5), origin="upper",
                       cmap="viridis", vmin=0, vmax=16, interpolation="nearest")
plt.colorbar(image, ax=axes[1], label="surprisal (bits)")
axes[1].set(xlabel="time (s)", ylabel="codebook", title="What each code costs")
book.show("surprisal")

# %% [markdown]
# In the pauses the model knows what comes, and pays little. At the onset of a sound it is surprised, and a code can
# cost more than the 10 bits that it costs without a model. On the whole it gains. Here are the sizes of our two
# recordings; *tables* are the frequencies of chapter 12.

# %%
guitar_codes = model.encode(book.recording("guitar"), bandwidth=6.0)[0].codes
sizes = {}
for label, way in (("fixed", FixedCoder(10)), ("tables", load_coder("table", model)),
                   ("language model", coder)):
    payloads = [way.encode([sound])[0] for sound in (codes, guitar_codes)]
    for payload, sound in zip(payloads, (codes, guitar_codes)):
        # nothing is lost
        assert np.array_equal(way.decode([(payload, sound.shape[1])], n_codebooks)[0],
                              sound)
    sizes[label] = [len(payload) for payload in payloads]

# %% tags=["hide-input"]
for i, (label, pair) in enumerate(sizes.items()):
    bars = plt.bar(np.arange(2) + 0.27 * (i - 1), pair, width=0.25, label=label)
    plt.bar_label(bars, fontsize=8)
plt.xticks([0, 1], ["speech", "guitar"])
plt.gca().set(ylabel="bytes", title="The same codes, three ways",
              ylim=(0, 1.35 * max(sizes["fixed"])))
plt.legend(ncols=3)
book.show("sizes")

# %%
book.claim(sizes["language model"][0] < sizes["fixed"][0], "the model saves bytes")
rms = np.sqrt(np.square(np.resize(speech, (n_frames, 320))).mean(axis=1))  # of each frame
sound = rms > 0.003  # which is no pause
share = 100 * (1 - paid[:, sound].mean() / 10)
book.say("Saved by the language model: "
         + ", ".join(f"{100 * (1 - a / b):.0f} % of the {name}"
                     for name, a, b in zip(("speech", "guitar"), sizes["language model"],
                                           sizes["fixed"]))
         + f". Pauses are cheap: without them, on {sound.sum()} of {n_frames} frames, it "
           f"saves {share:.0f} %. The frame that we follow costs "
           f"{', '.join(f'{bits:.1f}' for bits in paid[:, book.FRAME])} bits, "
           f"**{paid[:, book.FRAME].sum():.0f}** in place of 80.")

# %% [markdown]
# ## The whole model in NumPy
#
# The model is a [transformer](glossary.md#transformer): a stack of layers, which work on one vector per frame. All its
# numbers are in one file.

# %%
config = lm.config
_, tensors = read_language_model_folder(model.folder / "lm")
tensors = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
book.say(f"{sum(t.size for t in tensors.values()) / 1e6:.2f} million numbers: vectors of "
         f"{config.dim}, {config.n_layers} layers, {config.n_heads} heads.")

# %% [markdown]
# **From codes to a vector.** Each codebook has a table with one vector for each code, its
# [embedding](glossary.md#embedding); row 0 is for "no frame yet". The vectors of all codebooks are added up. Then a
# [layer norm](glossary.md#layer-norm) brings every vector to mean 0 and variance 1, multiplies each of its numbers by a
# trained factor, and adds a trained amount. Last, the position in time is added, as cosines and sines of many periods,
# from a few frames to thousands. Like the hands of many clocks, they tell what time it is.

# %%
def affine(x, name):
    return x @ tensors[name + ".weight"].T + tensors[name + ".bias"]


def layer_norm(x, name):
    away = x - x.mean(axis=-1, keepdims=True)
    away /= np.sqrt(np.square(away).mean(axis=-1, keepdims=True) + 1e-5)
    return away * tensors[name + ".weight"] + tensors[name + ".bias"]


def embed(seen):
    """Codes [K, F], -1 for none yet -> one vector per frame [F, D]."""
    x = sum(tensors[f"emb.{k}.weight"][1 + row] for k, row in enumerate(seen))
    half = config.dim // 2
    periods = config.max_period ** (np.arange(half) / (half - 1))
    angles = np.arange(seen.shape[1])[:, None] / periods  # [F, D / 2]
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return layer_norm(x, "transformer.norm_in") + waves

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.6))
plt.imshow((embed(seen)
            - layer_norm(sum(tensors[f"emb.{k}.weight"][1 + row]
                             for k, row in enumerate(seen)), "transformer.norm_in")).T,
           cmap="RdBu", vmin=-1, vmax=1, extent=(0, n_frames, 0, config.dim))
plt.colorbar(label="value")
plt.gca().set(xlabel="frame", ylabel="channel",
              title="The position as waves: cosines below, sines above")
book.show("positions")

# %% [markdown]
# **Attention** lets a frame look back at others. From its vector each frame makes three new ones, with three matrices:
# a *query* $q$, what it is looking for; a *key* $k$, by which it can be found; and a *value* $v$, what it has to say.
#
# Take three frames of two numbers each. The first and the last are alike. The matrices are simple here: query and key
# are three times the vector, and the value is the vector itself. The last frame compares its query with the keys of all
# three: it multiplies them number by number and adds the products up. The exponential makes these scores positive, and
# the large ones much larger. Divided by their sum, they are weights that add up to 1. With these weights the frame
# takes the mean of the values.

# %%
x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # three frames
query = key = 3 * x
value = x
# the last frame with each of the three; a query has 2 numbers
scores = query[2] @ key.T / np.sqrt(2)
weights = np.exp(scores) / np.exp(scores).sum()
assert weights[0] == weights[2] > 100 * weights[1]
book.say(f"Scores {scores.round(2)}, weights {weights.round(3)}, result "
         f"{(weights @ value).round(3)}: it has found the frame that is like itself.")

# %% tags=["remove-input"]
book.drawing("attention", query=query[2], keys=key, values=value)

# %% [markdown]
# That is all there is to attention. In general, frame $t$ looks at the frames $j$ that it may see, with queries and
# keys of $d$ numbers:
#
# $$ a_{tj} = \frac{\exp(q_t \cdot k_j / \sqrt d)}{\sum_i \exp(q_t \cdot k_i / \sqrt d)}, \qquad
#    \text{out}_t = \sum_j a_{tj} v_j $$
#
# The fraction is called [softmax](glossary.md#softmax). All this happens in several *heads* at once, each with its own
# $d$ of the channels. A frame sees itself and the `past_context` frames before it, and no later one: it must not look
# at what it is to predict.
#
# One detail of EnCodec's model is easily missed: the past does not begin empty. Before the first frame there is one
# vector of zeros. Its key and value are not zero, because each matrix comes with a bias, numbers that are added. And
# frames can look at it like at any other frame.

# %%
def attention(x, place, start_vector=True):
    """[F, D] -> [F, D], and weights [heads, F, F + 1]; column 0: the vector of zeros."""
    n_frames, dim = x.shape
    padded = np.concatenate([np.zeros((1, dim), x.dtype), x])  # row j + 1 is frame j
    qkv = padded @ tensors[place + ".in_proj_weight"].T + tensors[place + ".in_proj_bias"]
    # each [heads, F + 1, d]
    q, k, v = qkv.reshape(n_frames + 1, 3, config.n_heads, -1).transpose(1, 2, 0, 3)
    scores = q[:, 1:] @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])  # [heads, F, F + 1]
    asks, answers = np.arange(1, n_frames + 1)[:, None], np.arange(n_frames + 1)
    visible = (answers <= asks) & (answers >= asks - config.past_context)
    if not start_vector:
        visible &= answers > 0
    weights = np.exp(np.where(visible, scores, -np.inf))
    weights /= weights.sum(axis=-1, keepdims=True)
    out = (weights @ v).transpose(1, 0, 2).reshape(n_frames, dim)
    return affine(out, place + ".out_proj"), weights

# %% [markdown]
# **The rest** of a layer is two more matrices with a bend between them. The bend is called [GELU](glossary.md#gelu):
# far above zero it leaves a number as it is, far below it gives nearly 0, and in between the change is smooth. Both
# halves of a layer are residual: their output is *added* to the vector, and the sum is normalised again. After the last
# layer, one matrix per codebook gives 1024 scores, and softmax turns them into probabilities.

# %%
def predict(seen, start_vector=True):
    """Probabilities [F, K, N] of each frame's codes, and each layer's attention."""
    x, maps = embed(seen).astype(np.float32), []
    for i in range(config.n_layers):
        layer = f"transformer.layers.{i}"
        heard, weights = attention(x, layer + ".self_attn", start_vector)
        x = layer_norm(x + heard, layer + ".norm1")
        hidden = affine(x, layer + ".linear1")
        hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))  # GELU
        x = layer_norm(x + affine(hidden, layer + ".linear2"), layer + ".norm2")
        maps.append(weights)
    # [F, K, N]
    scores = np.stack([affine(x, f"linears.{k}") for k in range(len(seen))], axis=1)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True), maps


ours, maps = predict(seen)
assert np.abs(ours - p).max() < 1e-4
book.say(f"Our forty lines and the package agree: no probability differs by more than "
         f"{np.abs(ours - p).max():.1e}.")

# %% [markdown]
# Now we can look inside. Each row of the picture is a frame that asks, each column one that answers.

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(10, 4))
shown = 150
for axis, layer in zip(axes, (0, config.n_layers - 1)):
    seen_by = np.where(maps[layer].mean(axis=0) > 0, maps[layer].mean(axis=0), np.nan)
    image = axis.imshow(np.log10(seen_by[:shown, :shown + 1]), origin="upper", vmin=-4,
                        vmax=0, cmap="viridis", interpolation="nearest",
                        extent=(-1.5, shown - 0.5, shown - 0.5, -0.5))
    axis.set(xlabel="frame that answers (-1: zeros)", ylabel="frame that asks",
             title=f"Layer {layer}, mean of heads")
plt.colorbar(image, ax=axes, label="weight (log10)")
book.show("attention")

# %% [markdown]
# There is nothing above the diagonal: no frame sees a later one. The column at the left edge is the vector of zeros.
# How much attention does it get?

# %%
on_zeros = np.array([weights[:, :, 0].mean(axis=0) for weights in maps])  # [layers, F]

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.4))
plt.imshow(100 * on_zeros, origin="upper", cmap="viridis", vmin=0, vmax=100,
           extent=(-0.5, n_frames - 0.5, config.n_layers - 0.5, -0.5),
           interpolation="nearest")
plt.colorbar(label="attention (%)")
plt.axvline(config.past_context, color="C1", linestyle=":")
plt.gca().set(xlabel="frame", ylabel="layer",
              title="How much of its attention each frame pays to the zeros "
                    "(dotted: context)")
book.show("zeros")

# %%
assert (on_zeros[:, :config.past_context] > 0).all()
assert (on_zeros[:, config.past_context:] == 0).all()
without, _ = predict(seen, start_vector=False)
changed = np.abs(without - ours).max(axis=(1, 2))  # of each frame
book.say(f"The first frame gives it {100 * on_zeros[:, 0].mean():.0f} % of its attention "
         f"on average: besides the zeros it sees only itself. After "
         f"{config.past_context} frames the zeros are out of sight. A program that "
         f"forgets about them gets other probabilities, by up to {changed.max():.2f}. It "
         f"could not decode what this model has coded.")
assert changed[0] > 1e-6
sinks = (on_zeros[:, 150] > 0.5).sum()
book.claim(sinks >= 2, "several layers park their attention on the zeros")
book.say(f"The zeros matter later, too. At frame 150, with 150 earlier frames to look "
         f"at, {sinks} of {config.n_layers} layers still give them more than half of "
         f"their attention. Layer by layer it is "
         f"{', '.join(f'{100 * share:.0f} %' for share in on_zeros[:, 150])}.")
# so begins the package's memory of each layer
assert all(cache.end == 1 for cache in lm.start().caches)

# %% [markdown]
# Why look at zeros? The weights must add up to 1, so a head that finds nothing useful has to put its attention
# somewhere. A vector that says the same at all times does no harm. Large language models use their first token in this
# way; it is called an *attention sink* ([Xiao and others, 2023](https://arxiv.org/abs/2309.17453)). Here the sink is
# built in.

# %% [markdown]
# ## Remember instead of computing again
#
# The encoder knows all codes and can ask for all probabilities at once. The decoder cannot. To read frame 17 from the
# bits it needs the probabilities for frame 17, and these need the codes of frame 16. So it goes frame by frame. But the
# keys and values of past frames never change, as no frame sees later ones. They are kept in a
# [KV cache](glossary.md#kv-cache), and each step computes only one frame.

# %%
state, rows = lm.start(1, n_frames), []
for t in range(n_frames):
    rows.append(lm.step(seen[None, :, t:t + 1], state)[0, 0])
assert np.array_equal(np.array(rows), p)  # the very same bits

counts, cached, afresh = (25, 100, 200, 300, 390), [], []
for n in counts:
    state = lm.start(1, n + 1)
    lm.step(seen[None, :, :n], state)
    begin = time.perf_counter()
    lm.step(seen[None, :, n:n + 1], state)
    middle = time.perf_counter()
    lm.step(seen[None, :, :n + 1], lm.start(1, n + 1))
    cached.append(1000 * (middle - begin))
    afresh.append(1000 * (time.perf_counter() - middle))

# %% tags=["hide-input"]
plt.plot(counts, cached, "o-", label="with the cache")
plt.plot(counts, afresh, "o-", label="all frames computed again")
plt.gca().set(xlabel="frames so far", ylabel="time for the next frame (ms)",
              title="What one more frame costs", ylim=0)
plt.legend()
book.show("cache")

# %%
assert sum(cached) < sum(afresh)

# %% [markdown]
# ## Decoding
#
# The model's probabilities become units of $2^{-24}$ and go to the arithmetic decoder, which finds the codes of one
# frame. With these the model can guess the next frame.

# %%
def decode(payload, lm, n_frames):
    """Codes [K, F], and whether the decoder reached a state that no codes lead to."""
    decoder, state = LaneDecoder([payload]), lm.start(1, n_frames)
    codes, frame = [], np.full((1, n_codebooks, 1), -1)
    for _ in range(n_frames):
        cdf = quantised_cdf(lm.step(frame, state))[:, 0]  # [1, K, N]
        frame = decoder.pull(cdf)[..., None]
        codes.append(frame[0, :, 0])
    try:
        decoder.check()
    except ValueError:
        return np.array(codes).T, True
    return np.array(codes).T, False


(payload,) = coder.encode([codes])
again, stuck = decode(payload, lm, n_frames)
assert np.array_equal(again, codes) and not stuck

# %% [markdown]
# ## The last digit
#
# Both sides must have *the same* probabilities. How exactly the same? Computers store numbers with a limited number of
# binary digits: float32 has 24, which is about seven decimal digits. The distance from one such number to the next is
# an [ulp](glossary.md#ulp), a *unit in the last place*. We take the model and move one of its millions of numbers by
# one ulp.

# %%
name = "transformer.layers.0.linear1.bias"
touched = tensors[name].copy()
at = np.abs(touched).argmax()
touched[at] = np.nextafter(touched[at], np.float32(np.inf))
other = LanguageModel(config, {**tensors, name: touched})

q = other.step(seen[None], other.start(1, n_frames))[0]
differ = (quantised_cdf(q) != quantised_cdf(p)).any(axis=2).mean()
book.say(f"One number is now {touched[at]:.8f} instead of {tensors[name][at]:.8f}. The "
         f"probabilities change by at most {np.abs(q - p).max():.0e}, and "
         f"{100 * differ:.0f} % of the distributions by at least one unit of 2⁻²⁴.")

# %% [markdown]
# That is an error of one part in many millions. No sound and no file size would change by anything that matters. But
# now let this model decode what the other one has encoded.

# %%
wrong, stuck = decode(payload, other, n_frames)
right = (wrong == codes).mean(axis=0)
first = int(np.argmax(right < 1))
assert right[:first].all() and right[first + 5:].mean() < 0.7

# %% tags=["hide-input"]
plt.plot(np.arange(n_frames) / 75, 100 * right)
plt.gca().set(xlabel="time (s)", ylabel="right codes (%)",
              title="Decoded by a model that is one ulp different")
book.show("ulp")

# %%
after = np.arange(n_frames) > first + 5
by_kind = [100 * right[after & kind].mean() for kind in (sound, ~sound)]
book.say(f"Frame {first} is the first wrong one, {first / 75:.1f} s into the recording. "
         f"After it, {by_kind[0]:.0f} % of the codes of sound are right, and "
         f"{by_kind[1]:.0f} % of the codes of pauses. "
         + ("In the end the decoder noticed, as it had reached an impossible state."
            if stuck else "The decoder noticed nothing."))
book.play(24_000, decoded_right=model.decode([tinyencodec.EncodedFrame(codes, None)]),
          decoded_one_ulp_off=0.5 * model.decode([tinyencodec.EncodedFrame(wrong, None)]))

# %% [markdown]
# The boundary between the units of two codes has moved past the number in the file. One code is read wrongly, and from
# then on the model guesses from a past that never was. What is still right is right by chance.
#
# Does anybody change a model's weights by an ulp? No, but the order of additions often changes. Sums in floating point
# are rounded at every step, so the result depends on the order. And the order depends on the processor, the number of
# threads, and the version of the library. Here are sums from left to right and from right to left:

# %%
terms = rng.standard_normal((2000, config.dim)).astype(np.float32)
forward, backward = np.zeros((2, 2000), np.float32)
for column in range(config.dim):
    forward += terms[:, column]
    backward += terms[:, config.dim - 1 - column]
ulps = (forward - backward) / np.spacing(np.abs(backward))

# %% tags=["hide-input"]
plt.hist(np.clip(ulps, -20.4, 20.4), bins=np.arange(-20.5, 21))
plt.gca().set(xlabel="difference (ulp; beyond 20: at the edge)", ylabel="sums",
              title=f"2000 sums of {config.dim} numbers, from left to right and from "
                    f"right to left")
book.show("orders")

# %%
same = np.mean(forward == backward)
assert same < 0.5
mine = (quantised_cdf(ours.astype(np.float32)) != quantised_cdf(p)).any(axis=2).mean()
book.say(f"Only {100 * same:.0f} % of the sums are equal in both orders. And our forty "
         f"lines above, correct as they are, differ from the package in {100 * mine:.0f} "
         f"% of the distributions. In a decoder they would be useless.")

# %% [markdown]
# This really happens. Files that the official program had coded with its language model could not be decoded on another
# machine with the same versions of all libraries ([issue 85](https://github.com/facebookresearch/encodec/issues/85) of
# the official code) and, as their owner believes, after an upgrade of the system ([issue
# 94](https://github.com/facebookresearch/encodec/issues/94)). [Pull request
# 95](https://github.com/facebookresearch/encodec/pull/95) attempts a cure.
#
# The paper saw the danger (section 3.3, after Ballé and others, 2018). It rounds the probabilities to $10^{-6}$, and
# says that this needs more tests before practical use. Rounding makes an accident rarer. But a number can always lie
# close to the point at which the rounding changes.
#
# ## Exact arithmetic
#
# The remedy is to compute in such a way that there is nothing to disagree about. The standard for floating-point
# numbers, IEEE 754, fixes the result of $+$, $-$, $\times$, $\div$ and the square root to the last bit. It does not fix
# the order of sums, nor whether a compiler rounds $a \cdot b + c$ once or twice, nor functions such as $\exp$. So in
# `tinyencodec.lm.exact`
#
# - each sum has one fixed order, whatever the number of threads or the processor's vector width;
# - each product is rounded before it is added;
# - $\exp$, the error function (of the GELU), sine and cosine are made from these basic operations, and not taken from a
#   library.

# %%
x = -np.abs(rng.standard_normal(20_000) * 5).astype(np.float32)
truth = np.exp(x.astype(np.float64))
ulp = np.spacing(truth.astype(np.float32))
errors = {"NumPy's exp": (np.exp(x) - truth) / ulp,
          "exact.exp": (exact.exp(x) - truth) / ulp}
assert all(np.abs(error).max() < 4 for error in errors.values())

# %% tags=["hide-input"]
for label, error in errors.items():
    plt.hist(error, bins=np.linspace(-3, 3, 121), histtype="step", label=label)
plt.gca().set(xlabel="error (ulp)", ylabel="numbers",
              title="Both are a little wrong; exact.exp in the same way everywhere")
plt.legend()
book.show("exp")

# %% [markdown]
# To be exact in this sense does not mean to have no error. It means to have the *same* error everywhere. You saw one
# consequence already: frame by frame and all at once gave the same bits. Another: several recordings can be decoded
# side by side, which is faster, again with the same bits. And each file names the model that it was coded with, by a
# hash of all its numbers. So a different model is refused, instead of making noise.

# %%
together = lm.step(np.stack([seen, seen[:, ::-1]])[:, :, :100], lm.start(2, 100))
assert np.array_equal(together[0], p[:100])  # a neighbour does not matter

data = tinyencodec.compress(model, speech, bandwidth=6.0, entropy="lm")
wav, _ = tinyencodec.decompress(data, model=model)
assert np.array_equal(wav,
                      model.decode([tinyencodec.EncodedFrame(codes, None)],
                                   speech.shape[1]))
try:
    tinyencodec.decompress(data, model=model, coder=LMCoder(other))
    raise AssertionError("it was not refused")
except ValueError as error:
    book.say(f"With the touched model: *{error}*.")

# %% [markdown]
# ## In the paper, in the released code, and here
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.3, has this model with 5 layers, 8 heads, 200 channels and
# 3.5 s of past. With it, the rates of the paper's 24 kHz codec fall from 1.5 to 0.9, from 3 to 1.9, from 6 to 4.1 and
# from 12 to 8.9 kbit/s (Table 1), by 40 to 26 %. Ours has 6 layers and 128 channels, and knows 8 codebooks. On its test
# sounds it saves 41 % at 1.5 kbit/s, 34 % at 3 and 27 % at 6 (its card, `weights/tiny_24khz/README.md`). The vector of
# zeros is in the released code, not in the paper. The exact arithmetic is this package's own. Files that the official
# program has coded with its language model are neither read nor written.
#
# ## Summary
#
# - A language model turns the past into probabilities; the arithmetic coder turns its surprise into bits.
# - Attention: each frame takes a mean of what it may see, weighted by how well its query and their keys agree. The past
#   begins with a vector of zeros that has a key and a value.
# - Keys and values of the past are kept, so a step computes only one frame.
# - If encoder and decoder differ by one ulp, everything that follows can be lost. A fixed order of sums and functions
#   of our own give the same bits on all machines.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/13_language_model.md), each behind a click.
#
# 1. *Easy.* Plot the mean surprisal of each codebook. Which is the easiest to guess? How many bits does a code of the
#    last one cost on average? Why might that be?

# %%
easiest, bits_of_the_last = ..., ...  # 1 to 8, bits
book.check("13.1", easiest, bits_of_the_last)

# %% [markdown]
# 2. *Medium.* Each block of a file begins without a past. Cut the sentence into blocks of 0.5, 1, 2 and 4 s and compare
#    the sizes in bytes, with and without the 12 bytes that each block adds.

# %%
# four numbers, for 0.5, 1, 2 and 4 s: 37, 75, 150 and 300 frames
sizes_without_heads = ...
book.check("13.2", sizes_without_heads)

# %% [markdown]
# 3. *Harder.* The model states probabilities, so one can also *draw* from them. Give it the first two seconds of the
#    guitar, draw the codes of the next four, and listen. What changes if all scores are first divided by a
#    *temperature* below 1? Write that as a function of the probabilities.

# %%
def sharper(p, temperature):
    """Probabilities [N] -> probabilities [N] of the scores / temperature"""
    return ...


book.check("13.3", sharper)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.lm.model`: the transformer, one step per frame; `tinyencodec.lm.attention`: attention and the KV cache.
# - `tinyencodec.lm.exact`, `tinyencodec.lm.exact_matmul`: arithmetic with the same bits everywhere.
# - `tinyencodec.lm.coder`: model and arithmetic coder together, several blocks side by side.
# - `tinyencodec.train.lm`: training such a model for your own codec, from nothing or from a trained one.
