"""Sound files of many kinds, through libsndfile from disk, and WAV from a pipe; converted to 24 kHz mono."""

import io
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from driver import mutate, number

from tinyencodec.audio.reader import AudioReader

MOST = 1 << 22  # samples of one input that are looked at
FOLDER = Path(tempfile.mkdtemp())
# Format, subtype, suffix: with those that this libsndfile cannot write left out.
KINDS = (("WAV", "PCM_16", "wav"), ("WAV", "PCM_24", "wav"), ("WAV", "FLOAT", "wav"), ("WAV", "DOUBLE", "wav"),
         ("WAV", "ULAW", "wav"), ("WAV", "MS_ADPCM", "wav"), ("WAVEX", "PCM_16", "wav"), ("FLAC", "PCM_16", "flac"),
         ("OGG", "VORBIS", "ogg"), ("OGG", "OPUS", "opus"), ("MP3", "MPEG_LAYER_III", "mp3"), ("AIFF", "PCM_16",
         "aiff"),
         ("AU", "PCM_16", "au"), ("CAF", "ALAC_16", "caf"), ("W64", "PCM_16", "w64"), ("RF64", "PCM_16", "wav"),
         ("NIST", "PCM_16", "sph"), ("VOC", "PCM_U8", "voc"))
WORDS = (b"RIFF", b"WAVE", b"fmt ", b"data", b"LIST", b"fact", b"ds64", b"COMM", b"SSND", b"fLaC", b"OggS",
         b"\xff\xfb\x90\x00",
         b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"caff", b"\x00" * 4, b"\xff" * 4)


def corpus():
    wav, files = 0.3 * np.random.default_rng(0).standard_normal((3000, 2)), []
    for kind, subtype, suffix in KINDS:
        for rate, channels in ((48000, 2), (8000, 1)):
            try:
                soundfile.write(FOLDER / f"good.{suffix}", wav[:, :channels], rate, subtype, format=kind)
            except (soundfile.LibsndfileError, ValueError, TypeError):
                continue
            files.append((FOLDER / f"good.{suffix}").read_bytes())
    return files


def mutated(random, files):
    """Mostly with damages near the beginning, where the header is."""
    data = random.choice(files)
    cut = random.choice((40, 60, 100, 300, len(data), len(data)))
    head = mutate(random, data[:cut], files, WORDS)
    if random.random() < 0.4:
        at, put = random.randrange(len(head) + 1), number(random)
        head = head[:at] + put + head[at + len(put):]
    return head + data[cut:]


class Pipe(io.BytesIO):
    def read(self, size=-1):
        return super().read(min(size, 700) if size >= 0 else size)

    def seekable(self):
        return False


def read(data, random):
    name = FOLDER / f"input.{random.choice(('wav', 'wav', 'flac', 'ogg', 'mp3', 'aiff'))}"
    name.write_bytes(data)
    source = Pipe(data) if random.random() < 0.3 else name
    done = 0
    with AudioReader(source, random.choice((24_000, None)), random.choice((1, 2, None))) as sound:
        for block in sound:
            assert block.dtype == np.float32 and len(block) == sound.channels
            done += block.size
            if done > MOST:
                return "long"
    return "read"
