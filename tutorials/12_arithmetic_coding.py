# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 12 Arithmetic coding
#
# So far each code took ten bits, no matter which it was. But some codes are common and others rare. A message becomes
# shorter if common things get short names and rare things long ones: Morse code has a single dot for the letter E.
# *Entropy coding* does that as well as it can be done at all. Its sharpest tool is the arithmetic coder, which turns a
# whole message into one single number.
#
# **What you will see**
#
# - how many bits a symbol deserves, and why they are rarely a whole number
# - an interval that shrinks with every symbol, until any number inside it *is* the message
# - messages of thousands of symbols that take hardly a byte more than they must
# - the coder in whole numbers, its invariant, and the carry that runs through a hundred digits at once
# - the codec's own codes, and what a table of their frequencies saves

# %%
import copy
from fractions import Fraction

import book
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import playable

import tinyencodec
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.entropy.arithmetic import (
    ArithmeticDecoder,
    ArithmeticEncoder,
    bounds,
    quantised_cdf,
)
from tinyencodec.entropy.arithmetic_compiled import encode_symbols

book.open_chapter()
rng = np.random.default_rng(0)
model = tinyencodec.load_model()

# %% tags=["remove-input"]
book.drawing("here", chapter=12)

# %% [markdown]
# ## What a symbol deserves
#
# A [symbol](glossary.md#symbol) is one item of a message: a letter, or a code of the codec. Some symbols come more
# often than others. Here is how often each code of the first codebook occurs in our recordings.

# %%
recordings = {name: model.encode(book.recording(name), 6.0)[0].codes
              for name in ("speech", "guitar")}

# %% tags=["hide-input"]
for name, codes in recordings.items():
    counts = np.sort(np.bincount(codes[0], minlength=1024))[::-1]
    plt.loglog(np.arange(1, 1025), counts / counts.sum(), label=name)
plt.axhline(1 / 1024, color="#7d8590", linestyle=":",
            label="if all were equally frequent")
plt.gca().set(xlabel="rank of the code", ylabel="share of all frames",
              title="Codebook 1: how often each code comes")
plt.legend()
book.show("frequencies")

# %% [markdown]
# With one bit you can tell two things apart, with $n$ bits $2^n$ things. So if $2^n$ symbols are equally likely, each
# deserves $n$ bits, and its probability is $p = 2^{-n}$. Solve this for $n$, and use it for any probability:
#
# $$ \text{cost of a symbol} = \log_2 \frac{1}{p} = -\log_2 p \;\text{bits} $$
#
# The average cost, each symbol counted as often as it comes, is the [entropy](glossary.md#entropy),
# $H = -\sum p \log_2 p$. Claude Shannon proved in 1948 that no code can do better on average. Our example is an
# alphabet of three letters.

# %%
letters = "abc"
p = {"a": Fraction(6, 10), "b": Fraction(3, 10), "c": Fraction(1, 10)}
cost = {letter: -np.log2(float(p[letter])) for letter in letters}
entropy = sum(float(p[letter]) * cost[letter] for letter in letters)
whole = float(p["a"]) * 1 + float(p["b"]) * 2 + float(p["c"]) * 2  # a = 0, b = 10, c = 11

book.say("The letters deserve " + ", ".join(f"{cost[letter]:.2f}" for letter in letters)
         + " bits, " f"on average **{entropy:.3f}**. A code of whole bits, a = 0, b = "
                     f"10, c = 11, takes {whole:.1f}, which is "
                     f"{100 * (whole / entropy - 1):.0f} % more.")
assert entropy < whole

# %% [markdown]
# Here is the difficulty: the letter *a* deserves three quarters of a bit, and there is no such thing in a file. A code
# that gives each symbol its own bits must round. The way out is not to give symbols bits of their own.
#
# ## A shrinking interval
#
# Let each message own an *interval*, a part of the numbers from 0 to 1. The empty message owns all of them. Each letter
# keeps a part of what the message before it owned, as wide as the letter is probable: *a* the first 60 %, *b* the next
# 30 %, *c* the last 10 %. The widths multiply, so the width of the interval is the probability of the whole message.
# With Python's `Fraction`, which computes without rounding, that is five lines.

# %%
# where each letter's part begins
start = {"a": Fraction(0), "b": p["a"], "c": p["a"] + p["b"]}


def interval(message):
    """(low, width) of what a message owns."""
    low, width = Fraction(0), Fraction(1)
    for letter in message:
        low, width = low + start[letter] * width, p[letter] * width
    return low, width


message = "abacab"
low, width = interval(message)
book.say(f"*{message}* owns the numbers from {low} = {float(low):.6f} to {low + width} = "
         f"{float(low + width):.6f}.")

# %% tags=["hide-input"]
plt.figure(figsize=(9, 4.2))
for row, letter in enumerate(message):
    for i, other in enumerate(letters):
        left, wide = float(start[other]), float(p[other])
        chosen = other == letter
        plt.barh(-row, wide, left=left, height=0.5, color=f"C{i}", alpha=0.8 if chosen
                 else 0.25, edgecolor="white")
        plt.text(left + wide / 2, -row, other, ha="center", va="center",
                 color="white" if chosen else None)
    low, width = interval(message[:row])
    for x, value, align in ((0, low, "right"), (1, low + width, "left")):
        plt.text(x + (0.01 if x else -0.01), -row, f"{float(value):.5f}", ha=align,
                 va="center", fontsize=8)
    if row + 1 < len(message):  # the chosen part, magnified, is the next row
        left, right = float(start[letter]), float(start[letter] + p[letter])
        plt.plot([left, 0], [-row - 0.25, -row - 0.75], [right, 1],
                 [-row - 0.25, -row - 0.75], color="gray", lw=0.8)
plt.gca().set(xlim=(-0.12, 1.12), yticks=-np.arange(len(message)), xticks=[],
              title=f"The message {message}",
              xlabel="part of the interval in this row (its ends at the left and right)")
plt.ylabel("step")
plt.yticks(-np.arange(len(message)), [f"letter {i + 1}" for i in range(len(message))])
book.show("intervals")

# %% [markdown]
# Each row magnifies the part chosen in the row above. To send the message, send *any* number from its interval, best
# the one that is shortest in binary. Binary fractions work like decimal ones: the digits after the point are worth a
# half, a quarter, an eighth and so on, so that 0.101 is $\frac12 + \frac18$. Numbers with $n$ digits are $2^{-n}$
# apart. As soon as that is no more than the interval's width, one of them must lie inside. Hence $n$ need not be more
# than $-\log_2(\text{width})$, rounded up: the deserved cost of the whole message, rounded up *once*.

# %%
def shortest_number(low, width):
    """Binary digits of the shortest fraction in the interval."""
    for n in range(1000):
        # low in units of 2^-n, rounded up
        number = -(-low.numerator * 2**n // low.denominator)
        if Fraction(number, 2**n) < low + width:
            return f"{number:0{n}b}"


def decode(digits, n_letters):
    number = Fraction(int(digits, 2), 2 ** len(digits))
    low = Fraction(0)
    width = Fraction(1)
    message = ""
    for _ in range(n_letters):
        letter = max((x for x in letters if low + start[x] * width <= number),
                     key=lambda x: start[x])
        low = low + start[letter] * width
        width = p[letter] * width
        message = message + letter
    return message


digits = shortest_number(*interval(message))
deserved = sum(cost[letter] for letter in message)
assert decode(digits, len(message)) == message
assert len(digits) <= np.ceil(deserved)
book.say(f"*{message}* deserves {deserved:.2f} bits and becomes 0.**{digits}**, "
         f"{len(digits)} bits.")

# %% [markdown]
# The decoder goes the same way: in which letter's part does the number lie? That letter was sent. Take its part, and
# ask again. The decoder must be told how many letters there are, since any number lies in the intervals of longer
# messages too.
#
# ## In whole numbers, with four bits
#
# Exact fractions grow without end: each letter makes them longer. A practical coder works with whole numbers of a
# limited size. We begin with numbers so small that we can follow each of them. Probabilities become sixteenths: *a*
# gets 9 of the 16 units, *b* 5, *c* 2. And for the interval we keep
#
# - `n_bits`, the number of binary digits so far,
# - `low`, the least number of the interval, written with so many digits,
# - `width`, how many numbers with so many digits it holds.
#
# A letter takes its sixteenths of the width. For that, the interval must hold enough numbers to divide. So as long as
# `width` is less than 16, another digit is added, which doubles `low` and `width`. Here is the message from above, step
# by step.

# %%
sixteenths = {"a": (0, 9), "b": (9, 14), "c": (14, 16)}  # start and stop of each letter
low, width, n_bits = 0, 1, 0
lines = ["| letter | digits added | width before | takes | `low` after, in binary | "
         "width after |", "|---|---|---|---|---|---|"]
for letter in message:
    added = 0
    while width < 16:
        low, width, n_bits, added = 2 * low, 2 * width, n_bits + 1, added + 1
    start_at, stop_at = sixteenths[letter]
    first = -(-start_at * width // 16)  # rounded up
    last = (stop_at - 1) * width // 16  # rounded down
    lines.append(f"| {letter} | {added} | {width} | {first} to {last} | "
                 f"{low + first:0{n_bits}b} | {last - first + 1} |")
    low, width = low + first, last - first + 1
    assert 0 < width and low + width <= 2**n_bits
book.say("\n".join(lines))
book.say(f"Each of the {width} numbers from {low:0{n_bits}b} on means *{message}*.")

# %% [markdown]
# Look at the rounding. A letter begins at the first number at or above its start, and ends at the last number at or
# below the start of its last unit. So two letters can never claim the same number. And a letter with two units or more
# always has at least one number, as the width is at least 16. That is why *c* got two units, more than its 10 %, and
# why every code in the package gets at least two units.
#
# Now try a message of your own. Each bar is the interval as it is when its letter comes.

# %%
units = {"a": 9, "b": 5, "c": 2}
book.playable(playable.arithmetic("Letter by letter", units, 4, message))

# %% [markdown]
# ## With 24 bits
#
# Sixteenths are coarse: *a* deserves 0.74 bits, but nine sixteenths cost 0.83. The package's coder does exactly the
# same with units of $2^{-24}$, so fine that the rounding costs next to nothing. And with 24 bits, the product of a
# width (below $2^{25}$) and a number of units (up to $2^{24}$) still fits into a machine word of 64 bits.
#
# A symbol that owns the units `start` to `stop - 1` gets the numbers from $a$ to $b$, counted from `low`:
#
# $$ a = \left\lceil \frac{\text{start} \cdot \text{width}}{2^{24}} \right\rceil, \qquad
#    b = \left\lfloor \frac{(\text{stop} - 1) \cdot \text{width}}{2^{24}} \right\rfloor $$
#
# At every moment
#
# $$ 0 \le \text{low}, \qquad \text{low} + \text{width} \le 2^{\mathrm{n\_bits}} $$
#
# That is the coder's [invariant](glossary.md#invariant), a statement that is true before and after each step: all
# numbers of the interval can be written with `n_bits` digits. It holds because each new interval lies inside the old
# one.

# %%
def encode(starts, stops):
    """The digits of a message, and (n_bits, width) before each division."""
    low, width, n_bits, states = 0, 1, 0, []
    for first, end in zip(starts, stops):
        while width < 2**24:
            low, width, n_bits = 2 * low, 2 * width, n_bits + 1
        states.append((n_bits, width))
        a, b = -(-first * width // 2**24), (end - 1) * width // 2**24
        low, width = low + a, b - a + 1
        assert 0 <= low and 0 < width and low + width <= 2**n_bits  # the invariant
    return f"{low:0{n_bits}b}", np.array(states)


# cumulative: where each letter's units stop
units = quantised_cdf(np.array([0.6, 0.3, 0.1], np.float32))
symbols = rng.choice(3, size=60, p=[0.6, 0.3, 0.1])
starts, stops = bounds(np.broadcast_to(units, (60, 3)), symbols)
digits, states = encode(starts.tolist(), stops.tolist())
encoder = ArithmeticEncoder()
for first, end in zip(starts.tolist(), stops.tolist()):
    encoder.push(first, end)
# first digit in the lowest bit
reversed_digits = int(digits[::-1], 2).to_bytes(-(-len(digits) // 8), "little")
assert encoder.finish() == encode_symbols(starts, stops) == reversed_digits

# %%
ideal = np.concatenate([[0], np.cumsum(24 - np.log2(stops - starts))])
ahead = states[:, 0] - 24 - ideal[:60]  # digits, less the first 24, against bits deserved
assert (states[:, 1] >= 2**24).all() and (states[:, 1] < 2**25).all()
assert np.allclose(ahead, np.log2(states[:, 1]) - 24, atol=1e-3)

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.6))
plt.plot(ahead, ".-")
plt.gca().set(title="Digits so far, less the first 24, less the bits deserved so far",
              xlabel="symbols coded", ylabel="bits", ylim=(-0.1, 1.1))
plt.grid(True)
book.show("states")

# %% [markdown]
# Apart from the first 24 digits, the coder is never more than one bit ahead of what the message deserves. Nor is that
# bit lost: it is in the width, which lies between $2^{24}$ and $2^{25}$. The logarithm of the width, less 24, is
# exactly this curve.
#
# ## How good is it?
#
# Messages of up to 5000 letters, coded by the package, against what they deserve.

# %%
lengths = np.unique(np.geomspace(1, 5000, 120).astype(int))
used, ideal = [], []
for n in lengths:
    symbols = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    first, end = bounds(np.broadcast_to(units, (n, 3)), symbols)
    used.append(8 * len(encode_symbols(first, end, shortest=True)))
    ideal.append(np.sum(24 - np.log2(end - first)))
used, ideal = np.array(used), np.array(ideal)
excess = used - ideal
assert excess.max() < 9

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(10, 3.4))
axes[0].plot(lengths, used, ".", label="used")
axes[0].plot(lengths, entropy * lengths, label="entropy")
axes[0].plot(lengths, whole * lengths, "--", label="whole bits")
axes[0].set(xlabel="letters", ylabel="bits", title="Length of the message")
axes[0].legend()
axes[1].semilogx(lengths, excess, ".")
axes[1].set(xlabel="letters", ylabel="bits", title="Used minus deserved")
axes[1].grid(True)
book.show("excess")

# %%
book.say(f"Over all messages the excess is {excess.mean():.1f} bits on average and at "
         f"most {excess.max():.1f}, whether there are ten letters or {lengths[-1]}. Up "
         f"to 7 bits of it fill the last byte. It can be negative, because zero bytes at "
         f"the end are left out, and a file also tells its length.")

# %% [markdown]
# ## The straddle
#
# A file is written from the front. When is a digit certain, so that the coder may write it? As soon as all numbers of
# the interval begin with the same digits. Usually they soon do. But an interval can *straddle* a boundary, such as one
# half: the numbers below it begin 0.0111…, those above it 0.1000…. Then, however narrow the interval becomes, not even
# the first digit is certain.
#
# This is easy to provoke. Take three letters of a third each, and always send the one in whose part one half lies.
# After 40 letters, send the last of the three. Below are the digits of `low`, one row per letter; blue is 1.

# %%
third = quantised_cdf(np.array([1 / 3] * 3, np.float32)).tolist()
encoder, rows, straddling = ArithmeticEncoder(), [], []


def with_letter(encoder, symbol):
    longer = copy.copy(encoder)
    longer.push(([0] + third)[symbol], third[symbol])
    return longer


for _ in range(40):
    longer = [with_letter(encoder, symbol) for symbol in range(3)]
    # the one whose part straddles one half
    symbol = next(n for n, e in enumerate(longer) if e.low < 2 ** (e.n_bits - 1) < e.low
                  + e.width)
    straddling.append(symbol)
    encoder = longer[symbol]
    rows.append([int(digit) for digit in f"{encoder.low:0{encoder.n_bits}b}"])
straddling.append(2)
encoder = with_letter(encoder, 2)
rows.append([int(digit) for digit in f"{encoder.low:0{encoder.n_bits}b}"])
before, after = rows[-2], rows[-1]
assert before[0] == 0 and all(before[1:60]) and after[0] == 1 and not any(after[1:60])

# %%
picture = np.full((len(rows), max(map(len, rows))), np.nan)
for row, line in enumerate(rows):
    picture[row, :len(line)] = line

# %% tags=["hide-input"]
plt.figure(figsize=(9, 4))
plt.imshow(picture, cmap=matplotlib.colors.ListedColormap(["#d3d9e0", "#3b82c4"]),
           origin="upper", interpolation="nearest")
plt.gca().set(xlabel="binary digit of low (0 = first)", ylabel="letters coded",
              title="Forty letters of doubt, then a carry through all digits at once")
book.show("carry")

# %% [markdown]
# Row by row the run of ones grows: 0.0111…, always a little less than one half. The last letter adds enough to cross
# the boundary, and as in $0.4999 + 0.0001$ a carry runs from the back to the front: 0.1000….
#
# Coders deal with this in different ways. Many recognise the situation ("underflow") and count the doubtful digits
# separately. The official EnCodec program lets its whole numbers grow until the doubt is over, and gives up if they get
# too long. In this package `low` is *defined* as one number of any length, and then nothing special happens at all: a
# carry is what addition does. The compiled coder keeps the last 24 to 32 digits in a machine word, and the others as
# bytes in a buffer. A carry adds one to the last byte of the buffer. If that was 255, it becomes 0, and the carry goes
# on to the byte before it.
#
# The decoder never notices. It needs only the width and the *offset*, how far the number lies above `low`:

# %%
def decode_symbols(digits, cdf, count):
    """Symbols from digits, given where the units of each symbol stop."""
    width, offset, position, symbols = 1, 0, 0, []
    for _ in range(count):
        while width < 2**24:
            digit = int(digits[position]) if position < len(digits) else 0
            width, offset, position = 2 * width, 2 * offset + digit, position + 1
        symbol = next(n for n, stop in enumerate(cdf) if offset
                      < -(-stop * width // 2**24))
        first = cdf[symbol - 1] if symbol else 0
        a, b = -(-first * width // 2**24), (cdf[symbol] - 1) * width // 2**24
        width, offset = b - a + 1, offset - a
        symbols.append(symbol)
    return symbols


straddled = f"{encoder.low:0{encoder.n_bits}b}"
theirs = ArithmeticDecoder(encoder.finish())
assert decode_symbols(straddled, third, 41) == [theirs.pull(third)
                                                for _ in range(41)] == straddling

# %% [markdown]
# ## What if a bit is wrong?
#
# With ten bits per code, one wrong bit spoilt one code ([chapter 11](11_bits_and_files.py)). Here every symbol depends
# on where exactly the number lies after all symbols before it. We flip one bit in the middle of a message of 3000
# letters.

# %%
symbols = rng.choice(3, size=3000, p=[0.6, 0.3, 0.1])
data = bytearray(encode_symbols(*bounds(np.broadcast_to(units, (3000, 3)), symbols)))
data[len(data) // 2] ^= 1
decoder, heard = ArithmeticDecoder(bytes(data)), []
try:
    for _ in range(3000):
        heard.append(decoder.pull(units.tolist()))
except ValueError as error:
    book.say(f"After {len(heard)} letters: *{error}*.")
heard = np.array(heard)
first_wrong = int(np.argmax(heard != symbols[:len(heard)]))

# %%
right = (heard == symbols[:len(heard)])[:len(heard) // 50
                                        * 50].reshape(-1, 50).mean(axis=1)

# %% tags=["hide-input"]
plt.step(50 * np.arange(len(right)), 100 * right, where="post")
plt.axhline(100 * (0.6**2 + 0.3**2 + 0.1**2), color="C1", linestyle=":",
            label="by chance")
plt.gca().set(xlabel="letter", ylabel="right letters (%)",
              title="One bit flipped in the middle", ylim=(0, 105))
plt.legend()
book.show("flipped")

# %%
assert 1200 < first_wrong < 1800 and right[-10:].mean() < 0.75 < 0.99 < right[:20].mean()
book.say(f"Letter {first_wrong} is the first wrong one, and from then on letters are "
         f"right only by chance.")

# %% [markdown]
# What comes out still looks like a message: likely letters come often. The decoder notices only by luck. A few numbers
# between the parts of two symbols belong to no symbol, because $a$ was rounded up and $b$ down. If the decoder meets
# one of them, it knows that something is wrong. So a file needs checksums, and blocks. There is another consequence,
# which [chapter 13](13_language_model.py) is about: encoder and decoder must use *exactly* the same probabilities.
#
# ## Real codes
#
# For the codec's codes the package has tables of how often each entry was used in many recordings, with one byte for
# each entry. They need not be sent with a file, as the decoder has them too.

# %%
coder = load_coder("table", model)

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for axis, (name, codes) in zip(axes, recordings.items()):
    n_frames = codes.shape[1]
    axis.bar(range(1, 9), coder.costs(codes) / n_frames)
    axis.axhline(10, color="#7d8590", linestyle=":")
    axis.set(xlabel="codebook", title=name, ylim=(0, 11))
axes[0].set_ylabel("mean cost with the tables (bits)")
book.show("tables")

# %%
def loud_frames(wav):
    """Which frames are sound and not a pause: those of an RMS above 0.003."""
    wav = np.pad(wav[0], (0, -wav.shape[1] % 320))
    return np.sqrt(np.square(wav.reshape(-1, 320)).mean(axis=1)) > 0.003


lines = ["| | bytes, ten bits each | bytes with tables | saved | saved without the "
         "pauses |", "|---|---|---|---|---|"]
for name, codes in recordings.items():
    (payload,) = coder.encode([codes])
    (same,) = coder.decode([(payload, codes.shape[1])], n_codebooks=8)
    assert np.array_equal(same, codes)
    assert 8 * len(payload) < coder.costs(codes).sum() + 32
    sound = codes[:, loud_frames(book.recording(name))]
    saved = [100 * (1 - coder.costs(each).sum() / (10 * each.size))
             for each in (codes, sound)]
    lines.append(f"| {name} | {codes.size * 10 / 8:.0f} | {len(payload)} | "
                 f"{saved[0]:.1f} % | {saved[1]:.1f} %, on {sound.shape[1]} of "
                 f"{codes.shape[1]} frames |")
book.say("\n".join(lines))
followed = coder.costs(recordings["speech"][:, book.FRAME:book.FRAME + 1])
book.say(f"The frame that we follow costs "
         f"{', '.join(f'{cost:.1f}' for cost in followed)} bits, "
         f"**{followed.sum():.1f}** in place of 80.")

# %% [markdown]
# That is not very much, and some of it is saved on pauses, whose codes are common. A frame of rarer codes, such as
# ours, even costs more than 80 bits. A well-trained codebook uses its entries about equally often, and then a table can
# save little. But a table ignores what came before, and in speech or music what came before says a great deal.
#
# ## In the paper, in the released code, and here
#
# [The paper](https://arxiv.org/abs/2210.13438), section 3.3, uses an arithmetic coder with the language model of the
# next chapter, and no tables. Its range is $2^{24}$ too, and every code gets at least 2 of it. In the released coder, a
# straddle that lasts too long ends in a failed assertion. Tables and the carry into a buffer are this package's own.
#
# ## Summary
#
# - A symbol of probability $p$ deserves $-\log_2 p$ bits; the mean of that is the entropy, and no code does better.
# - An arithmetic coder makes the whole message one number, so bits are rounded up once, not for each symbol.
# - In whole numbers: digits are added until the interval is wide enough to divide, and each new interval lies inside
#   the old one. The end of a straddle is an addition with a long carry.
# - Everything after a wrong bit, or a wrong probability, is lost.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/12_arithmetic_coding.md), each behind a click.
#
# 1. *Easy.* A bent coin comes up heads 90 times in 100. How many bits does one toss deserve on average? Code 1000
#    tosses and compare.

# %%
bits_of_a_toss = ...
book.check("12.1", bits_of_a_toss)

# %% [markdown]
# 2. *Medium.* Do without tables. Let encoder and decoder count the symbols so far, starting with a count of one for
#    each, and turn these counts into probabilities. How does this *adaptive* coder do on the codes of the recordings,
#    compared with the tables?

# %%
def adaptive(symbols, n):
    """The probabilities that both sides know before each symbol, [len(symbols), n]"""
    return ...


book.check("12.2", adaptive)

# %% [markdown]
# 3. *Harder.* Write an encoder that needs no long number: it keeps at most 32 digits of `low`, appends the others to a
#    `bytearray`, and carries into it when needed. It must give the same bytes as `encode_symbols`.

# %%
def encode_with_buffer(starts, stops):
    """Lists of units -> bytes"""
    return ...


book.check("12.3", encode_with_buffer)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.entropy.arithmetic`: the coder as one long number, its invariant and its cost; probabilities to units
#   of $2^{-24}$.
# - `tinyencodec.entropy.arithmetic_compiled`: the same, compiled, for many messages side by side.
# - `tinyencodec.entropy.tables`: frequencies of codes, in one byte each.
# - `tinyencodec.ecdc.coders`: the three ways from codes to bytes: fixed width, tables, language model.
