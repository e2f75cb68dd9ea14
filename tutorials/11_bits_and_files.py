# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 11 Bits and files
#
# The codec of [chapter 10](10_the_whole_codec.py) turns sound into a table of whole numbers, the codes. This chapter
# puts them into a file, bit by bit. That sounds like bookkeeping, and it is. But bookkeeping decides whether a
# recording can still be opened in ten years, and what is left of it when a disk has lost one byte.
#
# **What you will see**
#
# - ten-bit numbers laid across eight-bit bytes without a gap
# - every byte of an `.ecdc` file, with its meaning
# - the size of a file predicted to the byte, for 200 files
# - a rounding error that makes the official program refuse its own files
# - one lost byte that turns the rest of a recording into noise, and a format that limits the damage

# %%
import io
import json
import struct
import zlib

import book
import matplotlib.pyplot as plt
import numpy as np

import tinyencodec
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.bits import BitWriter
from tinyencodec.ecdc.compression import decompress_stream

book.open_chapter()
model = tinyencodec.load_model()
speech = book.recording("speech")

# %% tags=["remove-input"]
book.drawing("here", chapter=11)

# %% [markdown]
# ## Ten bits in eight-bit bytes
#
# A *bit* is a digit 0 or 1; a *byte* is eight of them, and files consist of bytes. Our codes run from 0 to 1023 and
# have ten bits. Giving each of them two bytes would waste six bits of sixteen, more than a third. So they are laid end
# to end, without regard for where a byte ends.
#
# Which end first? The *least significant bit* of a number is the one worth 1, like the last digit of a decimal number.
# In `.ecdc` files codes begin with that bit, and bytes are filled from their least significant bit on ("LSB first").
# This has a pretty consequence. All codes together are *one* long number, in which code $i$ is multiplied by $2^{10
# i}$:
#
# $$ c_0 + 2^{10} c_1 + 2^{20} c_2 + \dots $$
#
# and the bytes are simply the digits of that number in base 256, least significant first. Python's whole numbers may be
# as long as we like, so this is all it takes:

# %%
def pack(codes, width=10):
    """The bytes of whole numbers of `width` bits each."""
    number = sum(int(code) << width * i for i, code in enumerate(codes))
    return number.to_bytes(-(-len(codes) * width // 8), "little")


def unpack(data, count, width=10):
    number = int.from_bytes(data, "little")
    return [number >> width * i & (1 << width) - 1 for i in range(count)]


three = [0b11_0000_1011, 0b00_1110_0001, 0b10_1010_1010]
assert unpack(pack(three), 3) == three

fo = io.BytesIO()
writer = BitWriter(fo, 10)
writer.write(np.array(three))
writer.flush()
assert pack(three) == fo.getvalue()  # the package's writer gives the same bytes

# %% tags=["hide-input"]
plt.figure(figsize=(8.5, 3.1))
for byte, value in enumerate(pack(three)):
    for bit in range(8):
        place = 8 * byte + bit
        color = f"C{place // 10}" if place < 30 else "#7d8590"
        plt.gca().add_patch(plt.Rectangle((9 * byte + 7 - bit, 0), 1, 1, facecolor=color,
                                          alpha=0.35, edgecolor="gray"))
        plt.text(9 * byte + 7.5 - bit, 0.5, value >> bit & 1, ha="center", va="center")
        plt.text(9 * byte + 7.5 - bit, 1.15, place % 10 if place < 30 else "",
                 ha="center", fontsize=7, color=color)
for code in range(3):
    plt.plot([], [], "s", color=f"C{code}", alpha=0.5,
             label=f"code {code} = {three[code]}")
plt.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=3)
plt.gca().set(xlim=(-0.5, 35.5), ylim=(-0.1, 1.6), yticks=[],
              xlabel="bytes, each written with its bit 7 at the left",
              title="Three codes in four bytes; small numbers: which bit of its code")
plt.gca().spines["left"].set_visible(False)
plt.xticks([4, 13, 22, 31],
           [f"byte {i} = 0x{value:02x}" for i, value in enumerate(pack(three))])
book.show("packing")

# %% [markdown]
# Read each byte from the right: bits 0 to 7 of the first code, then in the next byte its bits 8 and 9, followed by
# bit 0 of the second code, and so on. The rest of the last byte is filled with zeros (grey). Below each byte is its
# value in base 16, the way programmers write bytes: two digits, from 0 to 9 and then a to f, after the mark `0x`.
#
# ## All bytes of a file
#
# An `.ecdc` file begins with a [header](glossary.md#header) that says what follows:
#
# | bytes | content |
# |---|---|
# | 4 | the letters `ECDC`, by which programs recognise the file |
# | 1 | the version of the format, 0 |
# | 4 | length of the next part, as a number with its *most* significant byte first |
# | that many | JSON text: model `m`, audio length in samples `al`, number of codebooks `nc`, language model `lm` |
#
# Then come the codes: all codebooks of frame 0, then all of frame 1, and so on. We write a second of speech, and take
# the file apart with Python's own tools.

# %%
second = speech[:, 12_000:36_000]
data = tinyencodec.compress(model, second, bandwidth=1.5)

magic, version, size = struct.unpack("!4sBI", data[:9])
fields = json.loads(data[9:9 + size])
assert (magic, version) == (b"ECDC", 0)
assert fields["al"] == 24_000
assert fields["m"] == model.name
payload = data[9 + size:]
n_frames = -(-fields["al"] // 320)
# [K, F]
codes = np.array(unpack(payload, n_frames * fields["nc"]))
codes = codes.reshape(n_frames, fields["nc"]).T
assert np.array_equal(codes, model.encode(second, 1.5)[0].codes)
book.say(f"The JSON text is `{json.dumps(fields)}`.")

# %% tags=["hide-input"]
def draw_dump(data, parts):
    """Bytes in rows of sixteen, coloured by their parts: (end, label) each."""
    plt.figure(figsize=(9, 0.24 * -(-len(data) // 16) + 0.9))
    for i, byte in enumerate(data):
        part = next(number for number, (end, _) in enumerate(parts) if i < end)
        row, column = divmod(i, 16)
        plt.gca().add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1,
                                          facecolor=f"C{part}", alpha=0.3))
        plt.text(column, row, f"{byte:02x}", ha="center", va="center", family="monospace",
                 fontsize=9)
        letter = chr(byte) if 32 <= byte < 127 else "·"
        plt.text(17 + 0.55 * column, row, letter, ha="center", va="center",
                 family="monospace", fontsize=9)
    for number, (_, label) in enumerate(parts):
        plt.plot([], [], "s", color=f"C{number}", alpha=0.5, label=label)
    rows = -(-len(data) // 16)
    plt.yticks(range(rows), [f"{16 * row:4d}" for row in range(rows)], family="monospace",
               fontsize=8)
    plt.gca().set(xlim=(-0.6, 26), ylim=(rows - 0.4, -0.6), xticks=[],
                  title="A whole file", xlabel="sixteen bytes, in base 16 and as letters",
                  ylabel="offset (bytes)")
    plt.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)


draw_dump(data,
          [(4, "ECDC"), (5, "version"), (9, f"length = {size}"),
           (9 + size, "metadata, JSON"), (len(data), f"codes, {8 * len(payload)} bits")])
book.show("hexdump")

# %% [markdown]
# On the left are the bytes in base 16. On the right are the same bytes as letters, where they have one. Nothing
# separates one code from the next: from the header, the reader knows how many there are.
#
# And the frame that we follow? At 6 kbit/s its eight codes have 80 bits, which are 10 bytes. So frame 62 begins 620
# bytes after the header, and ends where frame 63 begins.

# %%
data = tinyencodec.compress(model, speech, bandwidth=6.0)
header = 9 + struct.unpack("!I", data[5:9])[0]
ten = data[header + 10 * book.FRAME:][:10]
codes = model.encode(speech, bandwidth=6.0)[0].codes[:, book.FRAME]
assert unpack(ten, 8) == list(codes) and pack(codes) == ten
book.say(f"Frame {book.FRAME}: the codes {', '.join(map(str, codes))} are the bytes "
         f"`{ten.hex(' ')}`, or the number {int.from_bytes(ten, 'little')}.")

# %% [markdown]
# ## How large will it be?
#
# If we understand all of a file, we can predict its size without writing it. With $n$ samples, $K$ codebooks and $h$
# bytes of header,
#
# $$ \text{size} = h + \left\lceil \frac{10\, K \lceil n / 320 \rceil}{8} \right\rceil $$
#
# where $\lceil x \rceil$ means $x$ rounded up. We check this with 200 files of random lengths.

# %%
def predicted_size(n_samples, n_codebooks):
    fields = {"m": model.name, "al": n_samples, "nc": n_codebooks, "lm": False}
    header = 9 + len(json.dumps(fields))
    return header + -(-10 * n_codebooks * -(-n_samples // 320) // 8)


rng = np.random.default_rng(0)
lengths, predicted, actual = [], [], []
for n in rng.integers(1, 24_000, 200):
    rate = rng.choice([1.5, 3.0, 6.0, 12.0])
    lengths.append(n)
    predicted.append(predicted_size(int(n), model.codebooks_for(rate)))
    actual.append(len(tinyencodec.compress(model, speech[:, :n], rate)))
assert predicted == actual

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(10, 3.4))
axes[0].plot(predicted, actual, ".", markersize=4)
axes[0].set(xlabel="predicted size (bytes)", ylabel="actual size (bytes)",
            title="200 files: equal, byte by byte")
durations = np.geomspace(0.1, 100, 50)
for rate in (1.5, 3.0, 6.0, 12.0):
    sizes = [predicted_size(int(24_000 * s), model.codebooks_for(rate))
             for s in durations]
    axes[1].loglog(durations, 8 * np.array(sizes) / durations / 1000,
                   label=f"{rate:g} kbit/s")
axes[1].set(xlabel="duration (s)", ylabel="true rate (kbit/s)", ylim=(1.3, 50),
            title="Short files are mostly header")
axes[1].set_yticks([1.5, 3, 6, 12], ["1.5", "3", "6", "12"])
axes[1].minorticks_off()
axes[1].legend(loc="upper right", ncols=2)
axes[1].grid(True)
book.show("sizes")

# %%
header_size = predicted_size(24_000, 2) - 188
book.say(f"The header takes {header_size} bytes. At 1.5 kbit/s that is as much as "
         f"{header_size * 8 / 1500:.2f} s of sound.")

# %% [markdown]
# ## A number that is not quite whole
#
# How many frames does a sound of $n$ samples have? $\lceil n / 320 \rceil$, according to the formula, and with whole
# numbers that is exact. The official program computes $\lceil n / 24000 \cdot 75 \rceil$ instead. On paper that is the
# same. But computers round numbers such as $n / 24000$ to about sixteen digits. If the product comes out a hair above a
# whole number, rounding *up* makes one frame too many.

# %%
n = 320 * np.arange(1, 751)  # whole frames, up to 10 s
in_floats = np.ceil(n / 24_000 * 75).astype(int)
wrong = in_floats != n // 320
assert in_floats[53_760 // 320 - 1] == 169 and 53_760 // 320 == 168
assert list(segment_frames(model.config, 53_760)) == [168]

# %% tags=["hide-input"]
plt.figure(figsize=(8, 2.6))
plt.plot(n / 24_000, (n / 24_000 * 75 - n // 320) * 1e15, ".", markersize=3,
         label="product minus the true number")
plt.plot(n[wrong] / 24_000, ((n / 24_000 * 75 - n // 320) * 1e15)[wrong], "o",
         markersize=5, fillstyle="none", label="one frame too many")
plt.gca().set(xlabel="duration (s)", ylabel="error (1e-15)",
              title="Rounding errors, and where they do harm")
plt.legend()
book.show("float_trap")

# %%
book.say(f"Of {len(n)} lengths up to 10 s, {wrong.sum()} get one frame too many. The "
         f"official reader then asks for codes that are not in the file, and gives up.")

# %% [markdown]
# This package uses only whole numbers here, and so reads and writes every length. It is a small bug with a lesson:
# where two programs must agree, floating-point arithmetic is dangerous. In [chapter 13](13_language_model.py) the same
# lesson returns, with a vengeance.
#
# ## One byte is lost
#
# Now we damage a file. First we flip one bit, in a code of the first codebook. Then we take out one byte, and put a
# zero at the end, so that the length is right again.

# %%
whole = tinyencodec.compress(model, speech, bandwidth=6.0)
clean, _ = tinyencodec.decompress(whole)
middle = header + 10 * 205  # where frame 205 begins

flipped = bytearray(whole)
flipped[middle] ^= 0b1000_0000  # one bit
shifted = whole[:middle] + whole[middle + 1:] + b"\0"  # one byte
after_flip, _ = tinyencodec.decompress(bytes(flipped))
after_shift, _ = tinyencodec.decompress(shifted)
book.play(24_000, undamaged=clean, one_bit_flipped=after_flip, one_byte_lost=after_shift)

# %%
half = clean.shape[1] // 2
hurt = [np.mean(np.abs(x - clean)[:, half + 8000:] > 0.001)
        for x in (after_flip, after_shift)]
book.claim(hurt[0] < 0.5 * hurt[1], "a lost byte hurts longer than a flipped bit")


# %% tags=["hide-input"]
def draw_error(axis, x, title):
    """The largest difference of x from the undamaged sound in each 10 ms."""
    n = len(clean[0]) // 240
    largest = np.abs(x - clean)[0, :240 * n].reshape(n, 240).max(axis=1)
    axis.fill_between(np.arange(n) / 100, largest)
    axis.set(title=title, ylabel="difference", ylim=(0, 0.6))


_, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True)
draw_error(axes[0], after_flip, "One bit flipped")
draw_error(axes[1], after_shift, "One byte lost")
axes[1].set_xlabel("time (s)")
book.show("damage")

# %% [markdown]
# One flipped bit makes one code wrong, in one frame. The decoder remembers it for a moment; then all is well. A lost
# byte is another matter. All later codes are read from the wrong place, eight bits off, so each of them is a mixture
# of two others, and nothing is ever right again. In both cases the program had no idea that anything was wrong.
#
# ## Blocks
#
# Version 1 of the format, which is this package's own, cuts the sound into [blocks](glossary.md#block), usually of four
# seconds. Each begins with ten bytes by which a reader can find it, check it, and know its place:
#
# | bytes | content |
# |---|---|
# | 4 | a *checksum* of all that follows in the block |
# | 2 | number of the block |
# | 2 | frames in it |
# | 2 | bytes in it, after these ten |
#
# A [checksum](glossary.md#checksum) is a number computed from all bytes, in such a way that almost any change of the
# bytes changes it. CRC-32, the one used here, notices every change that lies within 32 neighbouring bits, and all but
# about one in four billion of the others. Python has it in `zlib`.

# %%
blocks = tinyencodec.compress(model, speech, bandwidth=6.0, protect=True, block=1.0)
_, version, size = struct.unpack("!4sBI", blocks[:9])
at, starts = 9 + size + 4, []  # the header ends with a checksum of its own
while at < len(blocks):
    checksum, number, n_frames, n_bytes = struct.unpack("!IHHH", blocks[at:at + 10])
    assert checksum == zlib.crc32(blocks[at + 4:at + 10 + n_bytes])  # each block is sound
    starts.append((number, n_frames, at))
    at += 10 + n_bytes
assert version == 1
long = tinyencodec.compress(model, speech, bandwidth=6.0, protect=True)  # 4 s each
book.say(f"{len(starts)} blocks, of "
         f"{', '.join(str(n_frames) for _, n_frames, _ in starts)} frames. The last, "
         f"with none, says that the file is complete, and how long the sound is. With a "
         f"longer header, all that costs {len(blocks) - len(whole)} bytes, "
         f"{100 * (len(blocks) / len(whole) - 1):.1f} %; with blocks of 4 s it is "
         f"{len(long) - len(whole)} bytes.")

# %% [markdown]
# Again we lose a byte. Reading stops with an error that names the block, unless we ask it to *keep going*. Then the
# reader looks for the next place at which a checksum fits, and continues there. From the number of that block it knows
# which second is missing, and it repeats the last good frame in its place.

# %%
middle = starts[2][2] + 300  # within block 2
shifted = blocks[:middle] + blocks[middle + 1:]
try:
    tinyencodec.decompress(shifted)
    raise AssertionError("nobody noticed")
except ValueError as error:
    book.say(f"Reading it: *{error}*")
sound = decompress_stream(io.BytesIO(shifted), keep_going="repeat")
kept = np.concatenate(list(sound), axis=1)
assert [(round(a), round(b)) for a, b in sound.lost] == [(2, 3)]
assert kept.shape == clean.shape
book.play(24_000, one_byte_lost_in_blocks=kept)

# %% tags=["hide-input"]
plt.figure(figsize=(9, 2.4))
draw_error(plt.gca(), kept, "One byte lost, in a file of blocks")
plt.axvspan(*sound.lost[0], color="C1", alpha=0.2, label="reported as lost")
plt.xlabel("time (s)")
plt.legend()
book.show("blocks")

# %%
tail = np.abs(kept - clean)[0, round(sound.lost[0][1] * 24_000) + 24_000:]
book.claim(tail.max() < 0.05, "a second later all is well")
book.say(f"One second is lost. A second after it, the largest difference from the "
         f"undamaged sound is {tail.max():.5f}.")

# %% [markdown]
# ## In the paper, in the released code, and here
#
# [The paper](https://arxiv.org/abs/2210.13438) says how many bits there are (section 3.2), but nothing about files.
# Version 0 of the format is what the [released code](https://github.com/facebookresearch/encodec) writes; blocks and
# checksums are this package's own. [The `.ecdc` formats](format.md) specifies all of it.
#
# ## Summary
#
# - Codes of ten bits lie end to end, least significant bit first: together they are one long number.
# - A header of less than a hundred bytes says what is needed to read the rest; the size of a file follows from the
#   length of the sound.
# - Sizes and counts that two programs must agree on are computed in whole numbers.
# - Without landmarks, one lost byte spoils all that follows. Blocks with checksums limit the damage, and report it.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell: `book.check` says whether it is right.
# [Solutions](solutions/11_bits_and_files.md), each behind a click.
#
# 1. *Easy.* How many bytes of codes are one hour at 3 kbit/s? And how many more in blocks of 4 s, which cost 10 bytes
#    each?

# %%
bytes_of_codes, more = ..., ...
book.check("11.1", bytes_of_codes, more)

# %% [markdown]
# 2. *Medium.* Flip each of the ten bits of one code in turn, for codebook 1 and for codebook 8, and measure the error,
#    at several frames. Is the bit worth 512 more important than the bit worth 1? Is codebook 1 more important than
#    codebook 8?

# %%
high_bits_matter_more, codebook_1_matters_more = ..., ...  # True or False
book.check("11.2", high_bits_matter_more, codebook_1_matters_more)

# %% [markdown]
# 3. *Harder.* Suppose each byte of a file is lost with probability $p$. A block survives if all its bytes do. At 6
#    kbit/s and with blocks of `seconds`, what share of the sound is lost, and what share of the file do the blocks'
#    heads of 10 bytes take? For which length is the sum of both shares least, at $p = 10^{-6}$, $10^{-5}$, $10^{-4}$?

# %%
def shares(seconds, p):
    """(share of the sound that is lost, share of the file that is heads)"""
    return ...


book.check("11.3", shares)

# %% [markdown]
# ## Where this lives in the package
#
# - `tinyencodec.ecdc.bits`: packing and unpacking, many codes at a time.
# - `tinyencodec.ecdc.container`, `tinyencodec.ecdc.header`: files of version 0, the official one; and a header that
#   survives a flipped bit.
# - `tinyencodec.ecdc.block_layout`, `tinyencodec.ecdc.block_search`: version 1, and finding the next good block after
#   damage.
# - `tinyencodec.ecdc.packets`: a form for pipes, when nobody knows yet how long the sound will be.
# - `tinyencodec.ecdc.describe`: `tinyencodec info FILE` says where the bytes of a file go.
