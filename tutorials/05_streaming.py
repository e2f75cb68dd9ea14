# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 5 Streaming
#
# A telephone call has no file to convolve. Sound arrives in pieces, and each must go out again before the next is
# there. This chapter cuts a signal into pieces of any size and still gets the same result: not nearly the same, but
# equal in every bit.
#
# **What you will see**
#
# - what goes wrong at the seams when each piece is treated on its own: you will hear it
# - the few numbers that a layer must remember from piece to piece, its *state*
# - a streaming convolution in four lines
# - an error of exactly zero, and why "equal" needs more care than "almost equal"
# - what small pieces cost

# %%
import time

import book
import numpy as np
from matplotlib import pyplot as plt

import tinyencodec
from tinyencodec.layers.conv import Conv1d

book.open_chapter()
rate = 24_000  # Hz
model = tinyencodec.load_model()
hop = model.hop_length
speech = book.recording("speech", rate)[:, 3 * hop:315 * hop]  # a whole number of frames

# %% tags=["remove-input"]
book.drawing("here", chapter=5)

# %% [markdown]
# ## The seams
#
# The easiest way to handle pieces: encode and decode each of them as if it were a recording of its own, and put the
# results in a row. We take pieces of 6 frames, 80 ms, and then of single frames. The *batch* result, for comparison, is
# that of the whole recording in one go.

# %%
def alone(wav):
    """Code and decode, with no knowledge of what was before: float [1, T] -> [1, T]"""
    return model.decode(model.encode(wav, bandwidth=6.0), length=wav.shape[1])


def forget(size):
    """Pieces of `size` samples, each on its own, in a row."""
    return np.concatenate([alone(speech[:, at:at + size])
                           for at in range(0, speech.shape[1], size)], axis=1)


size = 6 * hop
batch, forgetful, frame_by_frame = alone(speech), forget(size), forget(hop)
assert forgetful.shape == batch.shape and not np.allclose(forgetful, batch, atol=1e-3)
book.play(rate, original=speech, in_one_go=batch, pieces_of_80_ms=forgetful,
          single_frames=frame_by_frame)

# %% [markdown]
# Something breaks 12.5 times a second, and with single frames 75 times a second: a rattle, then a buzz. Let us look at
# the seam where the jump from one sample to the next is most out of place.

# %%
seams = np.arange(size, speech.shape[1], size)
jumps = [np.diff(forgetful[0, at - 1:at + 1])[0] - np.diff(batch[0, at - 1:at + 1])[0]
         for at in seams]
seam = seams[np.argmax(np.abs(jumps))]
around = slice(seam - 120, seam + 120)
ms = 1000 * np.arange(around.start, around.stop) / rate

# %% tags=["hide-input"]
plt.plot(ms, batch[0, around], label="in one go")
plt.plot(ms, forgetful[0, around], label="pieces of 80 ms")
plt.axvline(1000 * seam / rate, color="0.6", linestyle="--", linewidth=0.8)
plt.gca().set(title="10 ms around a seam (dashed)", xlabel="time (ms)",
              ylabel="sample value")
plt.legend(fontsize=8)
book.show("seam")

# %% [markdown]
# A jump like that is a *click*: a sudden step contains all frequencies at once. But the click is only the sharpest part
# of the damage. After the seam the network must recover, and until then it codes something else. Below, the plot on the
# right averages over all pieces, and shows how the error shrinks as a piece goes on. Listen to the error alone, too.

# %%
def error_curve(sound, frame=120):
    """RMS of the difference from the batch result, every 5 ms, by the sound's level."""
    squares = np.square(sound[0] - batch[0], dtype=np.float64).reshape(-1, frame)
    return np.sqrt(squares.mean(axis=1)) / speech.std()


seconds = np.arange(0, speech.shape[1], 120) / rate
errors = error_curve(forgetful)
# without the first piece
by_place = np.sqrt(np.mean(errors.reshape(-1, size // 120)[1:] ** 2, axis=0))

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9, 3), width_ratios=(2, 1), sharey=True)
axes[0].plot(seconds, errors, linewidth=0.8)
axes[0].set(title="Pieces of 80 ms against the batch result", xlabel="time (s)",
            ylabel="relative error")
axes[1].plot(np.arange(len(by_place)) * 5 + 2.5, by_place, "o-", markersize=4)
axes[1].set(title="by time since the seam", xlabel="time since the seam (ms)",
            ylim=(0, None))
book.show("forgetful")

# %%
book.play(rate, the_error_alone=forgetful - batch)
book.claim(by_place[0] > by_place[-1], "the error shrinks as a piece goes on")

# %% [markdown]
# ## What a layer must remember
#
# Why should a seam matter at all? A causal convolution of kernel $k$ needs, for each output, the last $k$ inputs. For
# the first outputs of a piece, some of those lie in the piece before. If they are forgotten, something must stand in
# for them, zeros or a mirror ([chapter 3](03_stride_padding_causality.py)). If they are kept, nothing has to be
# invented.

# %% tags=["remove-input"]
book.drawing("padded_buffer")

# %% [markdown]
# What is kept is the layer's [state](glossary.md#state). For a convolution it is the end of the signal so far: the
# inputs that a later window will still touch. Put them in front of the next piece, compute all windows that are full,
# and keep what the next window needs:

# %%
def start(layer):
    # the padding, here zeros
    return np.zeros((layer.kernel_size - layer.stride, layer.in_channels), np.float32)


def step(layer, x, buffer):
    """The next piece [t, C_in] -> outputs [t', C_out], and the state after it."""
    joined = np.concatenate([buffer, x])
    n_out = max(0, (len(joined) - layer.kernel_size) // layer.stride + 1)
    y = layer.valid(joined)
    return y, joined[n_out * layer.stride:]


rng = np.random.default_rng(0)
weight = rng.standard_normal((64, 64, 6), dtype=np.float32) / 20  # [C_out, C_in, kernel]
bias = rng.standard_normal(64, dtype=np.float32)
layer = Conv1d(weight, bias, stride=3, pad_mode="constant")
x = rng.standard_normal((3000, 64), dtype=np.float32)
buffer, outputs = start(layer), []
for piece in np.split(x, [1, 2, 2, 10, 700, 701, 2000]):  # one of them is empty
    y, buffer = step(layer, piece, buffer)
    outputs.append(y)
assert np.array_equal(np.concatenate(outputs), layer(x))

# %% [markdown]
# Four lines, and they take pieces of any length, down to one sample or none at all. The last line asserts *equality*,
# not closeness. We come back to that.
#
# Look at what comes out when. With stride 3, three inputs make one output, wherever the cuts are; the state holds what
# is left over. The package's layers have the same `start` and `step`, and a third function, `flush`, for the end. They
# also know the mirror: it delays the first outputs, as the second curve shows, until the mirrored samples have come.

# %%
mirrored = Conv1d(weight, bias, stride=3, pad_mode="reflect")
made = {"zeros in front": [0], "mirror in front": [0]}  # outputs so far
for each, counts in zip((layer, mirrored), made.values()):
    state = each.start()
    for sample in x[:24]:
        counts.append(counts[-1] + len(each.step(sample[None], state)))
    assert counts[each.needs(1)] >= 1 and counts[each.needs(1) - 1] == 0
    assert counts[24] == 8

# %% tags=["hide-input"]
plt.figure(figsize=(8, 3))
for (name, counts), width in zip(made.items(), (4, 1.5)):
    plt.step(range(25), counts, where="post", label=name, linewidth=width)
plt.gca().set(title="Kernel 6, stride 3, fed one sample at a time", xlabel="inputs given",
              ylabel="outputs received", xticks=range(0, 25, 3))
plt.legend()
book.show("step")

# %% [markdown]
# The other layers are easier. A transposed convolution remembers the last inputs whose copies reach into outputs to
# come ([chapter 4](04_transposed_convolution.py)). The activation functions of [chapter
# 6](06_elu_weightnorm_residual.py) remember nothing, and the LSTM of [chapter 7](07_lstm.py) is a memory by design. A
# whole network's state is the list of its layers' states. How much is that?

# %%
def numbers(state):
    """How many floats a state holds, its parts included."""
    if isinstance(state, np.ndarray):
        return state.size
    if isinstance(state, list):
        parts = state
    else:
        parts = vars(state).values() if hasattr(state, "__dict__") else []
    return sum(numbers(part) for part in parts)


state = model.encoder.start()
model.encoder.step(np.ascontiguousarray(speech.T), state)
held = [numbers(part) for part in state]

# %% tags=["hide-input"]
plt.bar(range(len(held)), held)
plt.gca().set(title="What the encoder remembers, layer by layer", xlabel="layer",
              ylabel="numbers in its state")
book.show("state")

# %%
book.say(f"After {speech.shape[1] / rate:.1f} s of sound the encoder's state holds "
         f"{sum(held)} numbers, {4 * sum(held) / 1024:.1f} KiB. After an hour it would "
         f"hold as many.")
assert sum(held) < 100_000

# %% [markdown]
# ## The whole codec in pieces
#
# `model.streaming_encoder` and `model.streaming_decoder` carry the state of all layers. We cut the recording at random
# into pieces of one sample to some tenths of a second, push one after another, and see what comes out.

# %%
cuts = np.sort(np.concatenate([rng.integers(0, speech.shape[1], 20),
                               np.arange(50_000, 50_010)]))
encoder = model.streaming_encoder(bandwidth=6.0)
decoder = model.streaming_decoder(length=speech.shape[1])
heard = [decoder.push(encoder.push(piece)) for piece in np.split(speech, cuts, axis=1)]
heard += [decoder.push(encoder.flush()), decoder.flush()]
streamed = np.concatenate(heard, axis=1)
assert np.array_equal(streamed, batch)  # every bit

# %%
book.play(rate, pieces_of_80_ms=forgetful, with_state=streamed)
book.say(f"{len(cuts) + 1} pieces, {streamed.shape[1]} samples, largest difference "
         f"{np.abs(streamed - batch).max():g}.")

# %% [markdown]
# The clicks are gone, and so is every other difference.
#
# ## Equal, or almost equal?
#
# Isn't *nearly* the same good enough? For the sound it is; nobody hears a millionth. But between encoder and decoder
# sits the quantiser, which picks the nearest of many entries ([chapter 9](09_rvq.py)). If two entries are nearly as
# near, a difference in the last digit decides, and another code goes out. One code differs, then those that follow from
# it. And a program whose result depends on how the operating system happens to deliver its input is hard to test: no
# result is ever certainly wrong.
#
# The four lines above equal the batch result in every bit only because `layer.valid` adds up each output in a fixed
# order, whatever else is computed with it ([chapter 2](02_convolution.py)). With NumPy's product in its place, the
# algorithm is as correct as before, but the bits are not the same:

# %%
matrix = weight.transpose(2, 1, 0).reshape(-1, 64)  # [kernel * C_in, C_out]


def with_numpy(x):
    view = np.lib.stride_tricks.sliding_window_view
    windows = view(x.reshape(-1), matrix.shape[0])[::3 * 64]
    return windows @ matrix + bias


whole = with_numpy(np.concatenate([start(layer), x]))
buffer, pieces = start(layer), []
for sample in x:  # one at a time
    joined = np.concatenate([buffer, sample[None]])
    buffer = joined[3:] if len(joined) == 6 else joined
    pieces += [with_numpy(joined)] if len(joined) == 6 else []
changed = np.abs(np.concatenate(pieces) - whole).max(axis=1)
assert changed.max() < 1e-4

# %%
state = layer.start()
ours = np.abs(np.concatenate([layer.step(sample[None], state) for sample in x])
              - layer(x)).max(axis=1)
assert not ours.any()
book.say(f"With NumPy's product, {100 * np.mean(changed > 0):.0f} % of the moments "
         f"differ in some channel, by {changed.max():.1e} at most; the outputs have an "
         f"RMS of {np.sqrt(np.mean(whole ** 2)):.1f}. With ours, none differs.")

# %% [markdown]
# This is why the package has its own matrix product, and its own exponential function: not only for speed, but so that
# "the same bits, however the signal was cut" can be a test that passes or fails. In the package, `encode` *is* one
# large push: there is no second program for files that could disagree with the one for streams.
#
# ## What small pieces cost
#
# Each push walks through all layers, and each layer has to fetch its weights, for one frame or a thousand. How much
# faster than real time is the codec with pieces of different lengths? (We count processor time, which depends less on
# what else this machine is doing.)

# %%
model.threads = 1
sizes = [hop, 2 * hop, 5 * hop, 20 * hop, 100 * hop]
speeds = []
for size in sizes:
    encoder = model.streaming_encoder(bandwidth=6.0)
    decoder = model.streaming_decoder(live=True)
    taken = []
    for _ in range(3):
        begin = time.process_time()
        for at in range(0, 100 * hop, size):
            decoder.push(encoder.push(speech[:, at:at + size]))
        taken.append(time.process_time() - begin)
    # what disturbs a run only makes it longer
    speeds.append(100 * hop / rate / min(taken))

# %% tags=["hide-input"]
plt.plot([1000 * size / rate for size in sizes], speeds, "o-")
plt.gca().set(title=f"Coding and decoding with {model.name}, one thread",
              xlabel="length of a piece (ms), logarithmic", xscale="log",
              ylabel="times real time", ylim=(0, None))
book.show("speed")

# %%
book.say(f"One frame at a time, coding and decoding run at {speeds[0]:.0f} times real "
         f"time; in pieces of {sizes[-1] / rate:.1f} s, at {speeds[-1]:.0f} times.")

# %% [markdown]
# So you can choose: short pieces for a call, long ones for a file. The bits do not change.
#
# ## In the paper
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.1, makes its 24 kHz model *streamable*: all padding in front,
# and weight norm instead of a norm over time. The released program codes whole files only. That pieces and whole agree
# to the bit is a promise of this package.
#
# ## Summary
#
# - Pieces that are coded alone break at the seams, because each layer must invent the past.
# - A state is what a layer needs of the past: for a convolution a few inputs, never more, however long the signal.
# - `y = step(x, state)` for each piece and `flush` at the end give what the batch gives.
# - Equality in every bit needs sums in a fixed order. It makes streaming testable and codes reproducible.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/05_streaming.md), each behind a click.
#
# 1. *Easy.* How many numbers does the state of a convolution with kernel 16, stride 8 and 32 input channels hold at
#    least, and at most? Use `start` and `step` from above to check.

# %%
least, most = ..., ...
book.check("5.1", least, most)

# %% [markdown]
# 2. *Medium.* Write a streaming transposed convolution with stride $s$ and kernel $2s$, and check it against
#    `ConvTranspose1d` for random cuts.

# %%
def step_up(x, w, b, before):
    """x [t, C_in], w [C_in, C_out, 2 s], b [C_out], before [1, C_in]: the last input

    Returns the outputs [t * s, C_out], and the `before` of the next piece.
    """
    return ...


book.check("5.2", step_up)

# %% [markdown]
# 3. *Harder.* Reset only the state of the *encoder* at each seam, and let the decoder carry on; then the other way
#    round. Which of the two makes the larger jumps at the seams? Can you hear the difference in kind?

# %%
jumps_more = ...  # "encoder" or "decoder"
book.check("5.3", jumps_more)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.layers.layer`: what every layer can do, `start`, `step` and `flush`
# - `tinyencodec.layers.conv`: `ConvState`, and `Conv1d.step` with the mirror at both ends
# - `tinyencodec.layers.conv_transpose`, `tinyencodec.layers.lstm`: the same for the other layers
# - `tinyencodec.layers.stack`: a list of layers, with `start`, `step` and `flush` of its own
# - `tinyencodec.layers.tiles`, `tinyencodec.system.threads`: long signals in tiles that fit the cache, layers shared
#   out among threads
# - `tinyencodec.codec.streaming`: the codec's encoder and decoder for pieces
