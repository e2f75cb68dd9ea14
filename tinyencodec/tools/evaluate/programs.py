"""Others to compare with: Opus and MP3, by the programs that people use, `opusenc`, `opusdec` and `lame`.

Both may do what they are best at. Opus: variable bitrate, its default, and the highest complexity. MP3: constant
bitrate with `-q 2`; at low rates LAME lowers the sample rate by itself. Counted are an Opus file's packets, without
the Ogg container, and an MP3 file's frames, without tags.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from tinyencodec.audio.files import convert_audio
from tinyencodec.tools.evaluate.codecs import Coded


class Missing(Exception):
    """Why a program is left out, in one line."""


class Program:
    """An encoder and a decoder, from file to file; used as an `OurCodec`.

    name : for tables and plots
    needs : programs, and the package of Debian that has them
    usual : kbit/s by the number of channels, of which a reader would ask
    allowed : lowest and highest kbit/s of a channel
    encoder, decoder : commands, where `given` and `decoded` are WAV files, and `coded` is a file of this `suffix`
    """

    name: str
    needs: tuple[str, ...]
    package: str
    suffix: str
    usual: dict[int, tuple[float, ...]]
    allowed: tuple[float, float]
    encoder: str
    decoder: str

    def __init__(self, sample_rate: int, channels: int, rates: tuple[float, ...] | None) -> None:
        for program in self.needs:
            if shutil.which(program) is None:
                raise Missing(f"{self.name}: {program} is not installed (Debian's package {self.package})")
        self.sample_rate, self.channels = sample_rate, channels
        low, high = (channels * limit for limit in self.allowed)
        self.rates = tuple(rate for rate in rates or self.usual[channels] if low <= rate <= high)
        self.outside = tuple(rate for rate in rates or () if rate not in self.rates)
        if not self.rates:
            raise Missing(f"{self.name}: its rates are {low:g} to {high:g} kbit/s")
        self.version = self.run([self.needs[0], "--version"]).splitlines()[0].split(" (http")[0].strip()

    def code(self, wav: np.ndarray, rate: float) -> Coded:
        """Encode and decode [C, T], at a rate in kbit/s. Raises `ValueError` if that fails."""
        with tempfile.TemporaryDirectory() as folder:
            given, coded, decoded = (str(Path(folder) / name) for name in ("in.wav", f"coded{self.suffix}", "out.wav"))
            soundfile.write(given, np.round(wav.T * 32768).astype(np.int16), self.sample_rate, "PCM_16")
            for command in (self.encoder, self.decoder):
                self.run([word.format(kbps=rate, hertz=self.sample_rate, given=given, coded=coded, decoded=decoded)
                          for word in command.split()])
            got, sample_rate = soundfile.read(decoded, dtype="float32", always_2d=True)
            bits = 8 * self.size(Path(coded).read_bytes())
        return Coded(convert_audio(got.T, sample_rate, self.sample_rate, self.channels), {"none": bits})

    def size(self, data: bytes) -> int:
        """Bytes of a coded file that count."""
        return len(data)

    def run(self, command: list[str]) -> str:
        """What the command prints. Raises `ValueError` with its last words if it fails."""
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              env=os.environ | {"LC_ALL": "C"})
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise ValueError(f"{command[0]}: expected it to succeed, got exit status {done.returncode}: "
                             f"{said[-1] if said else 'no message'}")
        return done.stdout


class Opus(Program):
    """Opus by opus-tools."""

    name, needs, package, suffix = "Opus", ("opusenc", "opusdec"), "opus-tools", ".opus"
    usual = {1: (6, 12, 16, 24), 2: (12, 24, 48)}
    allowed = (6, 256)
    encoder = "opusenc --quiet --vbr --comp 10 --bitrate {kbps:g} {given} {coded}"
    decoder = "opusdec --quiet --float --rate {hertz} {coded} {decoded}"

    def size(self, data: bytes) -> int:
        return sum(ogg_packets(data)[2:])  # after the header and the comments


class Mp3(Program):
    """MP3 by LAME."""

    name, needs, package, suffix = "MP3", ("lame",), "lame", ".mp3"
    usual = {1: (16, 24, 32), 2: (32, 64)}
    allowed = (8, 160)
    encoder = "lame --silent --cbr -b {kbps:g} -q 2 -t {given} {coded}"
    decoder = "lame --silent --decode {coded} {decoded}"


PROGRAMS: dict[str, type[Program]] = {"opus": Opus, "mp3": Mp3}


def ogg_packets(data: bytes) -> list[int]:
    """Sizes in bytes of the packets in an Ogg file of one stream (RFC 3533): a packet ends with a segment below 255.

    Raises `ValueError` if it is none.
    """
    sizes, at, size = [], 0, 0
    while at < len(data):
        if data[at:at + 4] != b"OggS" or len(data) < at + 27 or len(data) < at + 27 + data[at + 26]:
            raise ValueError(f"Ogg page at byte {at}: expected one, got something else")
        segments = data[at + 27:at + 27 + data[at + 26]]
        for segment in segments:
            size += segment
            if segment < 255:
                sizes.append(size)
                size = 0
        at += 27 + len(segments) + sum(segments)
    return sizes
