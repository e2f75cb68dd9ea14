"""The frames of an MP3 file: how many there are, and where one stream ends and the next begins.

An MPEG audio file is a row of frames. Each begins with four bytes,

    11111111 111vvllp bbbbrrx. mm......    version, layer, bit rate, sample rate, padding, mode

from which its length in bytes follows; nothing tells how many frames there are. Encoders put a first frame in front
that holds no sound but a table, "Xing" or "Info", with the number of frames; many files have none, and a guess from
the first frame's bit rate is wrong where the rate varies. Where files were joined, the table counts the first one
only.

But: no frames of free bit rate (0), which next to no encoder writes.

Source: ISO/IEC 11172-3 and 13818-3; for the table, what LAME writes.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

_LONGEST = 2881  # bytes of a frame
_READ = 1 << 18
_MOST_LIARS = 1000  # more are none's files
SEARCH = 1 << 17  # bytes that may stand before the first frame
_BIT_RATES = {  # kbit/s, by (version 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version


class Form(NamedTuple):
    """What the head of a frame tells."""

    size: int  # bytes
    samples: int
    kind: tuple[int, int, int]  # layer, Hz, channels: the same throughout a stream
    side: int  # bytes of layer III's side information; 0 in the other layers

    def table(self, frame: bytes) -> int | None:
        """How many frames the table in this frame counts, 0 if it does not tell; None: it is a frame of sound."""
        for at in (4 + self.side, 6 + self.side) if self.side else ():  # without and with a checksum
            if frame[at:at + 4] in (b"Xing", b"Info"):
                return int.from_bytes(frame[at + 8:at + 12], "big") if frame[at + 7] & 1 else 0
        return int.from_bytes(frame[50:54], "big") if self.side and frame[36:40] == b"VBRI" else None

    def continues(self, frame: bytes) -> bool:
        """Whether the frame takes bits from those before it, so that no stream begins here."""
        at = 4 if frame[1] & 1 else 6
        return bool(self.side) and (frame[at] > 0 or self.kind[1] >= 32_000 and frame[at + 1] >= 128)


@lru_cache(maxsize=4096)
def _parse(first: int, second: int, mode: int) -> Form | None:
    """The form of a frame with these bytes behind the 0xFF."""
    version, layer, index, rate = first >> 3 & 3, 4 - (first >> 1 & 3), second >> 4, second >> 2 & 3
    if first < 0xE0 or version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return None
    hertz, padding, channels = _SAMPLE_RATES[version][rate], second >> 1 & 1, 1 if mode == 3 else 2
    bits = 1000 * _BIT_RATES[version == 3, layer][index - 1]
    samples = 384 if layer == 1 else 1152 if layer == 2 or version == 3 else 576
    size = (12 * bits // hertz + padding) * 4 if layer == 1 else samples // 8 * bits // hertz + padding
    side = 0 if layer != 3 else (17 if channels == 1 else 32) if version == 3 else (9 if channels == 1 else 17)
    return Form(size, samples, (layer, hertz, channels), side)


def _form(data: bytes, at: int) -> Form | None:
    return _parse(data[at + 1], data[at + 2], data[at + 3] >> 6) if at + 4 <= len(data) and data[at] == 0xFF else None


def _begins(data: bytes, at: int, more: int, least: int) -> Form | None:
    """The form of the frame at `at` if there are `more` of the same kind from there, or `least` up to the very end."""
    first = _form(data, at)
    for n in range(more if first else 0):
        form = _form(data, at)
        if form is None or form.kind != first.kind:  # type: ignore[union-attr]
            return first if n >= least and at == len(data) else None
        at += form.size
    return first


def frames(fo: BinaryIO, search: int | None = None) -> Iterator[tuple[bytes, Form, bool]]:
    """All whole frames from where `fo` stands: bytes, form, and whether there was something else before it.

    What is no frame is passed over: tags, the end of a frame whose beginning is lost, a frame that breaks off.
    `search`: how many bytes may be passed over before the first frame.
    """
    data, at, ended, kind, passed = b"", 0, False, None, 0
    while True:
        if len(data) - at < 4 * _LONGEST and not ended:
            piece = fo.read(_READ)
            data, at, ended = data[at:] + piece, 0, not piece
            continue
        if len(data) - at < 4:
            return
        form = _form(data, at)
        known = form is not None and form.kind == kind and not passed
        if form is None or not known and not _begins(data, at, 2 if kind and not passed else 3, 2 if passed else 1):
            following = data.find(b"\xff", at + 1)
            following = len(data) if following < 0 else following
            passed, at = passed + following - at, following
            if kind is None and search is not None and passed > search:
                return
        elif at + form.size > len(data):
            return
        else:
            yield data[at:at + form.size], form, passed > 0
            kind, passed, at = form.kind, 0, at + form.size


class Frame(NamedTuple):
    """A frame in its stream."""

    stream: int  # number
    data: bytes
    form: Form
    counted: int | None  # frames that it counts, if it is a table
    jumped: bool  # whether something else was before it

    @property
    def misleads(self) -> bool:
        """Whether this is a table that does not count, or the Fraunhofer encoder's: libmpg123 takes it for sound."""
        return self.counted == 0 or self.counted is not None and self.data[36:40] == b"VBRI"


def streams(fo: BinaryIO) -> Iterator[Frame]:
    """All frames from where `fo` stands.

    A stream begins with a table, behind as many frames as the last table counts, and where the kind of frame changes.
    """
    number, left, kind = -1, -1, None  # left: frames that the table still counts; below 0: it does not tell
    for frame, form, jumped in frames(fo, SEARCH):
        count = form.table(frame)
        if count is not None:
            number, left = number + 1, count or -1
        elif form.kind != kind or left == 0 and not form.continues(frame):
            number, left = number + 1, -1
        elif left > 0:
            left -= 1
        kind = form.kind
        yield Frame(number, frame, form, count, jumped)


class Survey(NamedTuple):
    """What is in an MPEG audio file."""

    plain: bool  # one stream, as its table tells: libsndfile is not misled
    exact: bool  # with as many frames as it counts
    missing: int  # samples that tables count and that are not there
    liars: frozenset[int]  # streams with more frames than their table counts


def survey(fo: BinaryIO) -> Survey | None:
    """Read a file from where `fo` stands to its end; None if there are no frames."""
    liars: set[int] = set()
    plain, missing = True, 0
    number, promised, found, samples = -1, 0, 0, 0
    for frame in streams(fo):
        if frame.stream != number:
            missing += max(0, promised - found - 1) * samples  # a frame less: some encoders count the table too
            number, promised, found, samples = frame.stream, frame.counted or 0, 0, frame.form.samples
            plain = plain and number == 0 and promised > 0 and not frame.misleads
        plain = plain and not frame.jumped
        found += frame.counted is None
        if found > promised > 0 and len(liars) < _MOST_LIARS:
            liars.add(number)
    missing += max(0, promised - found - 1) * samples
    return None if number < 0 else Survey(plain and not liars, found == promised, missing, frozenset(liars))
