"""Sound files as people have them: of unknown length, cut short, joined, without the table that encoders put in front.

A sound is float [C, T]; a file is its bytes.
"""

import io
import struct
from typing import NamedTuple

import numpy as np
import soundfile

from tinyencodec.audio.reader import AudioReader, name_of

RATE = 16_000


class Dribble:
    """A pipe: returns 1 to 7 bytes at a time, and cannot seek."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def read(self, size):
        piece = self.data[self.position:self.position + min(size, 1 + self.position % 7)]
        self.position += len(piece)
        return piece


class Pipe(io.BytesIO):
    """A pipe that returns more at a time."""

    def read(self, size=-1):
        return super().read(min(size, 1 + super().tell() * 7 % 5000) if size >= 0 else size)

    def read1(self, size=-1):
        return self.read(size)

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation("seek")

    tell = seek


class Sound(NamedTuple):
    """What `AudioReader` makes of a file."""

    wav: np.ndarray
    length: int | None
    remarks: list


def read_three_ways(folder, data, *form):
    """A file by its name, through a pipe and redirected: the same `Sound`, or the same `ValueError` that is raised.

    `form`: sample rate and channels to convert to.
    """
    path, outcomes = folder / "sound", []
    path.write_bytes(data)
    with open(path, "rb", buffering=0) as redirected:
        for file in (path, redirected, Pipe(data)):
            try:
                with AudioReader(file, *form) as reader:
                    wav = np.concatenate(list(reader), axis=1)
            except ValueError as error:
                outcomes.append(str(error).removeprefix(f"{name_of(file)}: "))
            else:
                # What a header promises is announced in a pipe, in which nobody can look ahead.
                assert reader.length in (None, wav.shape[1]) or isinstance(file, Pipe) and reader.remarks
                outcomes.append(Sound(wav, reader.length,
                                      [remark.removeprefix(f"{name_of(file)}: ") for remark in reader.remarks]))
    first, *others = outcomes
    for other in others:
        if isinstance(first, str):
            assert other == first
        else:
            assert other.remarks == first.remarks and np.array_equal(other.wav, first.wav)
    if isinstance(first, str):
        raise ValueError(first)
    return first



def tone(samples, channels=1, rate=RATE, seed=0):
    """A tone that swells, with a little noise, another one in each channel."""
    t, rng = np.arange(samples) / rate, np.random.default_rng(seed)
    return np.stack([0.5 * np.sin(2 * np.pi * 300 * (c + seed + 1) * t) * (0.6 + 0.4 * np.sin(20 * t))
                     + 0.02 * rng.standard_normal(samples) for c in range(channels)]).astype(np.float32)


def loud_then_soft(samples, channels=1):
    """Of variable bit rate, its frames get much shorter; the other way round with [:, ::-1]."""
    wav = 0.05 * np.random.default_rng(0).standard_normal((channels, samples))
    wav[:, samples // 2:] *= 1e-2
    return wav.astype(np.float32)


def encoded(wav, file_format, subtype=None, rate=RATE, **options):
    """By libsndfile. `options`: `compression_level` (0 to 1), `bitrate_mode` ("CONSTANT", "AVERAGE", "VARIABLE")."""
    fo = io.BytesIO()
    with soundfile.SoundFile(fo, "w", rate, len(wav), subtype, format=file_format, **options) as file:
        file.write(wav.T)
    return fo.getvalue()


def decoded(data):
    """By libsndfile, as it is: float32 [C, T]."""
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T


def patched(data, at, form, *values):
    """The bytes with other numbers at `at`."""
    return data[:at] + struct.pack(form, *values) + data[at + struct.calcsize(form):]


# ---- containers of plain samples -----------------------------------------------------------------------




def resized(data, size):
    """A WAV, W64, RF64, AIFF, AU or CAF file whose length of the samples is `size`, in bytes of the samples.

    0 and -1 are put as they are: no length.
    """
    if data[:4] == b".snd":
        return patched(data, 8, ">I", size % 2**32)
    if data[:4] == b"RF64":
        return patched(data, data.index(b"ds64") + 16, "<Q", size % 2**64)
    name, form, more = {b"RIFF": (b"data", "<I", 0), b"RIFX": (b"data", ">I", 0), b"riff": (b"data", "<Q", 24),
                        b"FORM": (b"SSND", ">I", 8), b"caff": (b"data", ">Q", 4)}[data[:4]]
    at = data.index(name) + (16 if data[:4] == b"riff" else 4)
    return patched(data, at, form, (size + more if size > 0 else size) % 256 ** struct.calcsize(form))


# ---- MPEG --------------------------------------------------------------------------------------------

_MPEG_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBITS = {3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
          2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}


def mp3_frames(data):
    """The frames of an MP3 file without tags, the table among them."""
    frames, at = [], 0
    while at < len(data):
        assert data[at] == 0xFF and data[at + 1] & 0xE6 == 0xE2, "a frame of layer III"
        version, index = data[at + 1] >> 3 & 3, data[at + 2] >> 4
        rate, padding = data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
        bits = 1000 * _KBITS[3 if version == 3 else 2][index - 1]
        size = (144 if version == 3 else 72) * bits // _MPEG_RATES[version][rate] + padding
        frames.append(data[at:at + size])
        at += size
    return frames


def is_table(frame):
    return b"Xing" in frame[:48] or b"Info" in frame[:48]


def mp3(wav, rate=RATE, mode="CONSTANT", table=True, level=0.5):
    """`table`: with the first frame that counts the others."""
    frames = mp3_frames(encoded(wav, "MP3", "MPEG_LAYER_III", rate, compression_level=level, bitrate_mode=mode))
    assert is_table(frames[0]) or not table  # a short frame has no room for one
    return b"".join(frame for frame in frames if table or not is_table(frame))


def mp3_samples(data):
    """How many samples the frames of sound are together."""
    frames = mp3_frames(data)
    return (1152 if frames[0][1] >> 3 & 3 == 3 else 576) * sum(not is_table(frame) for frame in frames)


def id3(size=1000, picture=b"\xff\xfb\x90\x00" * 10):
    """A tag as stands before an MP3 file, with something in it that looks like frames."""
    body = (picture + bytes(size))[:size]
    return b"ID3\x04\x00\x00" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + body


# ---- Ogg and FLAC ------------------------------------------------------------------------------------


def ogg_pages(data):
    pages, at = [], 0
    while at < len(data):
        assert data[at:at + 4] == b"OggS"
        lengths = data[at + 27:at + 27 + data[at + 26]]
        pages.append(data[at:at + 27 + len(lengths) + sum(lengths)])
        at += len(pages[-1])
    return pages


def flac_of_length(data, samples):
    """A FLAC file that tells another number of samples; 0: none, as an encoder writes into a pipe."""
    return patched(data, 21, ">BI", data[21] & 0xF0 | samples >> 32, samples % 2**32)
