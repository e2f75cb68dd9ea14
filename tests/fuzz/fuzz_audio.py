"""Sound files of many kinds, joined ones and those of unknown length; a file and a pipe, which must agree."""

import hashlib
import io
import tempfile
from pathlib import Path
from random import Random

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
         b"\xff\xfb\x90\x00", b"VBRI", b"OggS\x00\x02", b"OggS\x00\x04", b"Xing\x00\x00\x00\x01",
         b"Info\x00\x00\x00\x0f", b"fLaC\x80\x00\x00\x22", b"\xff\xf8\xc9\x18", b".snd", b"desc", b"riff", b"TAG",
         b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"caff", b"\x00" * 4, b"\xff" * 4)


def corpus():
    random = Random(0)
    wav, files = 0.3 * np.random.default_rng(0).standard_normal((3000, 2)), []
    for kind, subtype, suffix in KINDS:
        for rate, channels in ((48000, 2), (8000, 1)):
            try:
                soundfile.write(FOLDER / f"good.{suffix}", wav[:, :channels], rate, subtype, format=kind)
            except (soundfile.LibsndfileError, ValueError, TypeError):
                continue
            data = (FOLDER / f"good.{suffix}").read_bytes()
            files.append(data)
            if kind in ("OGG", "MP3", "FLAC"):
                files.append(b"".join(random.sample(files, 2)) if random.random() < 0.3 else data + data)
            if kind == "MP3":  # without the frame that counts the others, and from the midst of one
                files += [data[data.index(b"\xff", 100):], data[300:]]
            if kind == "FLAC":
                files.append(data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:])
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


def heard(source, form):
    """A hash of the samples, None if there are very many, or what is said instead."""
    hashed, done = hashlib.sha256(), 0
    try:
        with AudioReader(source, *form) as sound:
            for block in sound:
                assert block.dtype == np.float32 and len(block) == sound.channels and block.shape[1]
                hashed.update(block.tobytes() if block.shape[0] == 1 else block.T.tobytes())  # however it is cut
                done += block.size
                if done > MOST:
                    return None
            assert all(remark.isprintable() for remark in sound.remarks) and len(sound.remarks) < 6
    except ValueError as error:
        return error
    return hashed.digest()


def read(data, random):
    name = FOLDER / "input"
    name.write_bytes(data)
    form = random.choice((24_000, None)), random.choice((1, 2, None))
    file = heard(name, form)
    if random.random() < 0.5:
        piped = heard(Pipe(data), form)
        assert type(piped) is type(file) and (isinstance(file, ValueError) or piped == file), "file and pipe differ"
    if isinstance(file, ValueError):
        raise file
    return "long" if file is None else "read"
