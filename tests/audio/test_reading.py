"""Sound is read to its end: files of unknown and wrong length, joined and cut ones, as a file, piped and redirected.

Expected lengths are counted here from frames and pages, or are those of the parts; where ffmpeg and others are at hand,
they must find the same.
"""

import io
import shutil
import struct
import subprocess
import time

import numpy as np
import pytest
import soundfile

from tests.helpers.sounds import (
    decoded,
    encoded,
    flac_of_length,
    id3,
    is_table,
    loud_then_soft,
    mp3,
    mp3_frames,
    mp3_samples,
    ogg_pages,
    patched,
    read_three_ways,
    tone,
)
from tinyencodec.audio.files import convert_audio
from tinyencodec.audio.reader import AudioReader

FORMATS = soundfile.available_formats()
needs_mp3 = pytest.mark.skipif("MP3" not in FORMATS, reason="this libsndfile does not write MP3")
needs_opus = pytest.mark.skipif("OPUS" not in soundfile.available_subtypes("OGG"), reason="no Opus in this libsndfile")
RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
TAG = b"TAG" + bytes(125)  # stands behind many MP3 files
DELAY = 1105  # samples of silence that LAME puts in front, and that only a table tells of
MISSING = "the end is missing; there may have been more"


def second_opinion(folder, data, channels):
    """How many samples ffmpeg finds; None: there is no ffmpeg."""
    if shutil.which("ffmpeg") is None:
        return None
    (folder / "second").write_bytes(data)
    done = subprocess.run(["ffmpeg", "-v", "quiet", "-i", folder / "second", "-f", "f32le", "-"], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    return len(done.stdout) // 4 // channels


def assert_told(told, *expected):
    """Each remark is as expected, ... standing for a number."""
    assert [" ".join("..." if word.replace(".", "").isdigit() else word for word in remark.split())
            for remark in told.remarks] == list(expected), told.remarks


ENDS = "ends ... s before its header says"


# ---- MPEG --------------------------------------------------------------------------------------------


@needs_mp3
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode, channels", [("CONSTANT", 1), ("CONSTANT", 2), ("VARIABLE", 1), ("VARIABLE", 2),
                                            ("AVERAGE", 2)])
def test_mp3_with_and_without_table(tmp_path, rate, mode, channels):
    """With a table, as many samples as were encoded. Without, all of all frames: the encoder's delay too."""
    wav = loud_then_soft(rate, channels)
    with_table, without = mp3(wav, rate, mode), mp3(wav, rate, mode, table=False)
    known, unknown = read_three_ways(tmp_path, with_table), read_three_ways(tmp_path, without)
    assert known.wav.shape == wav.shape and known.length == rate and known.remarks == unknown.remarks == []
    assert np.abs(known.wav - decoded(with_table)).max() <= 2**-22  # libmpg123 begins otherwise after a seek to 0
    assert unknown.wav.shape[1] == mp3_samples(without) > rate and unknown.length is None
    assert np.abs(unknown.wav[:, DELAY:DELAY + rate] - known.wav).max() <= 2**-22
    assert second_opinion(tmp_path, without, channels) in (None, unknown.wav.shape[1])


@needs_mp3
def test_blocks_do_not_change_an_mp3(tmp_path):
    """soundfile seeks to where it is after each read, from which libmpg123 takes up to a second to recover."""
    (tmp_path / "a.mp3").write_bytes(mp3(loud_then_soft(300_000), 44_100, "VARIABLE"))
    with AudioReader(tmp_path / "a.mp3") as reader:
        wav = np.concatenate(list(reader), axis=1)
    assert np.array_equal(wav, soundfile.read(tmp_path / "a.mp3", dtype="float32", always_2d=True)[0].T)


@needs_mp3
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("tables", [(True, True), (False, False), (True, False), (False, True)])
@pytest.mark.parametrize("levels", [(0.2, 0.2), (0.0, 0.7)])  # bit rates
def test_joined_mp3(tmp_path, rate, tables, levels):
    """cat a.mp3 b.mp3, with tags between: both, and nothing between them."""
    first, second = (mp3(tone(n, 2, rate, seed), rate, "CONSTANT", table, level) for n, seed, table, level in zip(
        (rate, 2 * rate + 7), (0, 1), tables, levels))
    told = read_three_ways(tmp_path, id3() + first + TAG + id3(70_000) + second + TAG)
    alone = [read_three_ways(tmp_path, data).wav for data in (first, second)]
    assert told.wav.shape[1] == sum(wav.shape[1] for wav in alone) and told.length is None and told.remarks == []
    n = alone[0].shape[1]
    assert np.abs(told.wav[:, :n] - alone[0]).max() <= 2**-22
    # Without tables it is one stream, and the first frame rings into the second.
    start = 0 if True in tables else 2000
    assert np.abs(told.wav[:, n + start:] - alone[1][:, start:]).max() <= 2**-22


@needs_mp3
def test_many_mp3_in_a_row(tmp_path):
    songs = [mp3(tone(20_000 + 100 * seed, 1, 44_100, seed), 44_100, mode, seed % 3 > 0) for seed, mode in enumerate(
        ["CONSTANT", "VARIABLE"] * 5)]
    told = read_three_ways(tmp_path, b"".join(songs))
    assert told.wav.shape[1] == sum(read_three_ways(tmp_path, song).wav.shape[1] for song in songs)


@needs_mp3
@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("form", [(), (24_000, 1), (48_000, 2)])
def test_joined_mp3_of_another_form(tmp_path, table, form):
    """The later one is converted, and that is told."""
    parts = [(tone(44_100, 2, 44_100), 44_100), (tone(48_000, 1, 24_000), 24_000), (tone(44_100, 1, 44_100), 44_100)]
    data = [mp3(wav, rate, "VARIABLE", table) for wav, rate in parts]
    told = read_three_ways(tmp_path, b"".join(data), *form)
    rate, channels = form or (44_100, 2)
    expected = [convert_audio(read_three_ways(tmp_path, some).wav, own, rate, channels)
                for some, (_, own) in zip(data, parts)]
    assert told.wav.shape == (channels, sum(wav.shape[1] for wav in expected))
    assert np.abs(told.wav - np.concatenate(expected, axis=1)).max() <= 2**-22 or not table
    seconds = "1.0" if table else f"{expected[0].shape[1] / rate:.1f}"
    assert told.remarks == [f"from {seconds} s on it has 24000 Hz and 1 channel instead of 44100 Hz and 2 channels, "
                            "and is converted"]


@needs_mp3
@pytest.mark.parametrize("rate, level", [(44_100, 0.0), (44_100, 0.9), (16_000, 0.0)])
@pytest.mark.parametrize("cut", [1, 100, 417, 500, 1300])
def test_mp3_from_the_midst_of_a_frame(tmp_path, rate, level, cut):
    """As a radio is recorded: all whole frames."""
    frames = mp3_frames(mp3(tone(rate, 2, rate), rate, "CONSTANT", False, level))
    passed, at = 0, 0
    while at < cut:
        at += len(frames[passed])
        passed += 1
    told = read_three_ways(tmp_path, b"".join(frames)[cut:])
    assert told.wav.shape[1] == mp3_samples(b"".join(frames[passed:]))
    whole = read_three_ways(tmp_path, b"".join(frames)).wav
    after = 5 * 1152  # what the lost frames still sound in
    assert np.abs(told.wav[:, after:] - whole[:, -told.wav.shape[1]:][:, after:]).max() <= 2**-20


@needs_mp3
def test_tags_and_junk_in_mp3(tmp_path):
    data = mp3(tone(44_100, 1, 44_100), 44_100, "VARIABLE")
    expected = read_three_ways(tmp_path, data)
    for some in (id3() + data, id3(300_000) + data, id3(20) + id3(3000) + data + TAG, data + bytes(5000),
                 bytes(5000) + data, b"APETAGEX" + bytes(500) + data, data + b"junk" * 1000):
        told = read_three_ways(tmp_path, some)
        assert np.abs(told.wav - expected.wav).max() <= 2**-22 and told.remarks == []
    frames = mp3_frames(data)
    between = b"".join(frames[:20]) + b"junk" * 700 + b"".join(frames[20:])
    assert read_three_ways(tmp_path, between).wav.shape == expected.wav.shape


@needs_mp3
def test_mp3_cut_short(tmp_path):
    data = mp3(tone(3 * 44_100, 2, 44_100), 44_100)
    whole = read_three_ways(tmp_path, data).wav
    told = read_three_ways(tmp_path, data[:len(data) // 3])
    assert_told(told, ENDS)
    assert float(told.remarks[0].split()[1]) == pytest.approx(3 - told.wav.shape[1] / 44_100, abs=0.1)
    assert 0.9 < told.wav.shape[1] / 44_100 < 1.1 and np.array_equal(told.wav, whole[:, :told.wav.shape[1]])
    both = read_three_ways(tmp_path, data[:len(data) // 3] + data)
    assert both.wav.shape[1] == pytest.approx(told.wav.shape[1] + whole.shape[1], abs=1152)
    assert_told(both, ENDS)


def counted(data, count):
    """An MP3 file whose table counts so many frames."""
    frames = mp3_frames(data)
    at = max(frames[0].find(b"Xing"), frames[0].find(b"Info")) + 8
    return b"".join([patched(frames[0], at, ">I", count), *frames[1:]])


@needs_mp3
def test_tables_that_lie(tmp_path):
    data = mp3(tone(3 * 44_100, 2, 44_100), 44_100, "VARIABLE", level=0.3)
    n = len(mp3_frames(data)) - 1
    for count in (1, n // 2, n - 1):  # too few: then it cannot tell what is to be cut off at both ends either
        told = read_three_ways(tmp_path, counted(data, count))
        assert told.wav.shape[1] == mp3_samples(data) and told.length is None and told.remarks == []
    told = read_three_ways(tmp_path, counted(data, n + 1))  # some encoders count the table too
    assert told.remarks == [] and told.wav.shape[1] >= 3 * 44_100 and told.length is None
    told = read_three_ways(tmp_path, counted(data, 2 * n))
    assert_told(told, ENDS)
    assert told.wav.shape[1] >= 3 * 44_100
    frames = mp3_frames(data)
    uncounted = frames[0].replace(b"Xing\0\0\0\x0f", b"Xing\0\0\0\x0e")
    assert uncounted != frames[0]
    told = read_three_ways(tmp_path, b"".join([uncounted, *frames[1:]]))
    assert told.wav.shape[1] == mp3_samples(data)


@needs_mp3
def test_table_of_another_encoder(tmp_path):
    """VBRI, at a fixed place, instead of Xing; libmpg123 does not know it."""
    frames = mp3_frames(mp3(loud_then_soft(3 * 44_100, 2), 44_100, "VARIABLE"))[1:]
    table = frames[0][:4] + bytes(32) + struct.pack(">4sHHHII", b"VBRI", 1, 0, 0, 0, len(frames)) + bytes(2000)
    sound = b"".join(frames)
    for count in (len(frames), 2 * len(frames)):
        data = patched(table, 50, ">I", count)[:len(frames[0])] + sound
        told = read_three_ways(tmp_path, data)
        assert told.wav.shape[1] == mp3_samples(sound)
        assert_told(told, *[ENDS] * (count > len(frames)))


@needs_mp3
def test_few_frames(tmp_path):
    frames = mp3_frames(mp3(tone(10_000, 1, 44_100), 44_100))
    for n in (1, 2, 3):
        assert read_three_ways(tmp_path, b"".join(frames[1:1 + n])).wav.shape[1] == 1152 * n
    with pytest.raises(ValueError, match="expected a"):
        read_three_ways(tmp_path, frames[0])  # a table, and nothing else
    assert is_table(frames[0])


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_layer_2(tmp_path, rate):
    (tmp_path / "a.wav").write_bytes(encoded(tone(3 * rate, 2, rate), "WAV", rate=rate))
    coded = []
    for kbits in (64, 160):
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", tmp_path / "a.wav", "-c:a", "mp2", "-b:a", f"{kbits}k",
                        tmp_path / "a.mp2"], check=True, stdin=subprocess.DEVNULL)
        coded.append((tmp_path / "a.mp2").read_bytes())
    for data in (*coded, coded[0] + coded[1], coded[1] + coded[0]):
        told = read_three_ways(tmp_path, data)
        assert told.wav.shape[1] == second_opinion(tmp_path, data, 2) and told.remarks == []


@pytest.mark.skipif(shutil.which("lame") is None, reason="no lame")
def test_free_bit_rate(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(tone(2 * 44_100, 1, 44_100), "WAV", rate=44_100))
    subprocess.run(["lame", "--quiet", "--freeformat", "-b", "200", tmp_path / "a.wav", tmp_path / "a.mp3"], check=True)
    told = read_three_ways(tmp_path, (tmp_path / "a.mp3").read_bytes())
    assert told.wav.shape == (1, 2 * 44_100) and told.length is None and told.remarks == []


# ---- Ogg ---------------------------------------------------------------------------------------------


def ogg(subtype, samples, channels=1, rate=48_000, seed=0):
    return encoded(tone(samples, channels, rate, seed), "OGG", subtype, rate)


@pytest.mark.parametrize("subtype", ["VORBIS", pytest.param("OPUS", marks=needs_opus)])
@pytest.mark.parametrize("lengths", [(48_000, 33_333), (1, 48_000), (70_001, 1000, 2, 90_000)])
def test_chained_ogg(tmp_path, subtype, lengths):
    links = [ogg(subtype, n, 2, seed=seed) for seed, n in enumerate(lengths)]
    told = read_three_ways(tmp_path, b"".join(links))
    assert told.wav.shape == (2, sum(lengths)) and told.length is None and told.remarks == []
    assert np.array_equal(told.wav, np.concatenate([decoded(link) for link in links], axis=1))


@needs_opus
@pytest.mark.parametrize("kinds", [("VORBIS", "OPUS"), ("OPUS", "VORBIS")])
@pytest.mark.parametrize("form", [(), (24_000, 1)])
def test_chained_ogg_of_another_form(tmp_path, kinds, form):
    first, second = ogg(kinds[0], 48_000, 2, 48_000), ogg(kinds[1], 16_000, 1, 16_000)
    told = read_three_ways(tmp_path, first + second, *form)
    rate, channels = form or (48_000, 2)
    expected = [convert_audio(decoded(first), 48_000, rate, channels),
                convert_audio(decoded(second), 16_000, rate, channels)]
    assert np.array_equal(told.wav, np.concatenate(expected, axis=1))
    assert told.remarks == ["from 1.0 s on it has 16000 Hz and 1 channel instead of 48000 Hz and 2 channels, and is "
                            "converted"]


@pytest.mark.parametrize("subtype", ["VORBIS", pytest.param("OPUS", marks=needs_opus)])
def test_ogg_without_its_end(tmp_path, subtype):
    data = ogg(subtype, 4 * 48_000, 2)
    pages = ogg_pages(data)
    n = struct.unpack_from("<q", pages[-2], 6)[0] - (312 if subtype == "OPUS" else 0)
    for some in (b"".join(pages[:-1]), data[:-1], data[:-len(pages[-1]) // 2]):
        told = read_three_ways(tmp_path, some)
        assert told.remarks == [MISSING] and told.wav.shape[1] == n
        assert np.array_equal(told.wav, decoded(data)[:, :n])
        both = read_three_ways(tmp_path, data + some)
        assert both.remarks == [MISSING] and both.wav.shape[1] == 4 * 48_000 + n
        assert read_three_ways(tmp_path, some + data).wav.shape[1] == 4 * 48_000 + n


@pytest.mark.parametrize("subtype", ["VORBIS", pytest.param("OPUS", marks=needs_opus)])
def test_ogg_with_junk_and_holes(tmp_path, subtype):
    data = ogg(subtype, 6 * 48_000, 2)
    pages, expected = ogg_pages(data), decoded(data)
    for some in (data + b"junk" * 50, b"".join([*pages[:4], b"junk", *pages[4:]])):
        told = read_three_ways(tmp_path, some)
        assert np.array_equal(told.wav, expected) and told.remarks == []
    told = read_three_ways(tmp_path, b"".join([*pages[:4], *pages[5:]]))
    assert told.wav.shape[1] < 6 * 48_000 and told.length is None
    assert_told(told, ENDS)
    told = read_three_ways(tmp_path, data + b"".join(pages[:2]))  # headers, and nothing behind them
    assert np.array_equal(told.wav, expected)
    assert told.remarks in (["one of its parts is unreadable, and left out", MISSING],
                            ["one of its parts is unreadable, and left out"], [MISSING])


@pytest.mark.parametrize("times", ["as they are", "0", "-1"])
def test_vorbis_whose_last_time_is_no_length(tmp_path, times):
    """libsndfile takes the last page's time for the length; the checksum is that of the page."""
    pages = ogg_pages(ogg("VORBIS", 4 * 48_000, 2))
    if times != "as they are":
        last = patched(patched(pages[-1], 6, "<q", int(times)), 22, "<I", 0)
        pages[-1] = patched(last, 22, "<I", ogg_checksum(last))
    told = read_three_ways(tmp_path, b"".join(pages))
    assert 4 * 48_000 - 1024 <= told.wav.shape[1] <= 4 * 48_000 + 1024
    assert (told.length is None) == (times != "as they are")


def ogg_checksum(page):
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


# ---- FLAC --------------------------------------------------------------------------------------------


def flac(samples, channels=2, rate=44_100, seed=0, subtype="PCM_16"):
    return encoded(tone(samples, channels, rate, seed), "FLAC", subtype, rate)


@pytest.mark.parametrize("samples", [1, 4095, 4096, 4097, 50_000])
@pytest.mark.parametrize("channels, rate, subtype", [(1, 8000, "PCM_16"), (2, 44_100, "PCM_16"), (2, 96_000, "PCM_24"),
                                                     (1, 11_025, "PCM_S8"), (8, 48_000, "PCM_16")])
def test_flac_of_unknown_length(tmp_path, samples, channels, rate, subtype):
    data = flac(samples, channels, rate, 0, subtype)
    for some in (data, flac_of_length(data, 0), id3() + data, id3() + flac_of_length(data, 0), data + TAG,
                 flac_of_length(data, 0) + TAG):
        told = read_three_ways(tmp_path, some)
        assert np.array_equal(told.wav, decoded(data)) and told.remarks == []
        assert told.length == (samples if flac_of_length(some, 0) != some and b"ID3" != some[:3] or
                               some == id3() + data else None)


def test_flac_of_wrong_length(tmp_path):
    data = flac(50_000)
    for less in (1, 4096, 49_999):
        told = read_three_ways(tmp_path, flac_of_length(data, less))
        assert np.array_equal(told.wav, decoded(data)) and told.remarks == [] and told.length is None
    told = read_three_ways(tmp_path, flac_of_length(data, 94_100))
    assert np.array_equal(told.wav, decoded(data)) and told.remarks == ["ends 1.0 s before its header says"]
    assert told.length is None


def test_flac_cut_short(tmp_path):
    data = flac(50_000)
    assert read_three_ways(tmp_path, data[:-1]).remarks == ["ends 848 samples before its header says"]
    for size in (len(data) - 4000, len(data) - 20_000, len(data) // 2, len(data) // 5):
        for some, remark in ((data, ENDS), (flac_of_length(data, 0), MISSING)):
            told = read_three_ways(tmp_path, some[:size])
            assert np.array_equal(told.wav, decoded(data)[:, :told.wav.shape[1]])
            assert told.wav.shape[1] >= 50_000 * size // len(data) - 2 * 4096
            assert_told(told, remark)


def test_joined_flac(tmp_path):
    a, b, c = flac(50_000), flac(30_000, seed=1), flac(24_000, 1, 48_000, 2, "PCM_24")
    for some in ([a, b], [a, a], [b, a, b]):
        for parts in (some, [flac_of_length(part, 0) for part in some]):
            told = read_three_ways(tmp_path, b"".join(parts))
            assert np.array_equal(told.wav, np.concatenate([decoded(part) for part in some], axis=1))
            assert told.remarks == [] and told.length is None
    told = read_three_ways(tmp_path, a + c)
    assert np.array_equal(told.wav, np.concatenate([decoded(a), convert_audio(decoded(c), 48_000, 44_100, 2)], axis=1))
    assert len(told.remarks) == 1 and "48000 Hz and 1 channel instead of 44100 Hz and 2" in told.remarks[0]


@pytest.mark.skipif(shutil.which("flac") is None, reason="no flac")
@pytest.mark.parametrize("options", [[], ["-8"], ["--lax", "-b", "300"], ["-b", "16384", "--lax"]])
def test_flac_from_a_pipe(tmp_path, options):
    """The encoder's own, which cannot correct the header there."""
    wav = encoded(tone(30_001, 2), "WAV")
    done = subprocess.run(["flac", "--silent", *options, "-"], input=wav, capture_output=True, check=True)
    told = read_three_ways(tmp_path, done.stdout)
    assert np.array_equal(told.wav, decoded(wav)) and told.remarks == []


# ---- all formats: a file and a pipe agree, and with libsndfile ---------------------------------------


SWEEP = {"WAV": "PCM_16", "AIFF": "PCM_24", "W64": "PCM_16", "RF64": "FLOAT", "CAF": "PCM_16", "FLAC": "PCM_16",
         "OGG": "VORBIS", "OPUS": "OPUS", "AU": "ULAW", "VOC": "PCM_16", "NIST": "PCM_16"}


@pytest.mark.parametrize("file_format", SWEEP)
@pytest.mark.parametrize("rate", [*RATES, 88_200, 96_000])
def test_lengths(tmp_path, file_format, rate):
    for samples in (1, 160, rate // 7, rate + 1):
        try:
            data = encoded(tone(samples, 2, rate), file_format.replace("OPUS", "OGG"), SWEEP[file_format], rate)
        except (soundfile.LibsndfileError, ValueError):
            pytest.skip(f"this libsndfile does not write {file_format} at {rate} Hz")
        told = read_three_ways(tmp_path, data)
        assert np.array_equal(told.wav, decoded(data)) and told.wav.shape[1] == told.length == samples
        assert told.remarks == []
        if samples > rate and rate in (8000, 44_100) and file_format not in ("RF64", "OPUS"):
            assert second_opinion(tmp_path, data, 2) in (None, samples)


# ---- hostile ones ------------------------------------------------------------------------------------


@needs_mp3
def test_time_grows_with_the_bytes(tmp_path):
    """Streams of a frame each, tables without sound, pages of nothing: a little time for each."""
    mono, stereo = (mp3_frames(mp3(tone(44_100, c, 44_100), 44_100)) for c in (1, 2))
    page = ogg_pages(ogg("VORBIS", 10))
    for data in (b"".join(2 * a + 2 * b for a, b in zip(mono[1:], stereo[1:])), mono[0] * 500, b"\xff" * 500_000,
                 b"\xff\xfb\x90" * 200_000, b"ID3\4\0\0\0\0\0\0" * 10_000, b"OggS" * 100_000, b"".join(page[:2]) * 100,
                 b"fLaC\x80\0\0\x22" * 500, flac(100)[:42] * 300, flac(100) * 100):
        start = time.monotonic()
        try:
            with AudioReader(io.BytesIO(data)) as reader:
                for _ in reader:
                    pass
                assert len(reader.remarks) <= 3
        except ValueError as error:
            assert str(error).isprintable()
        assert time.monotonic() - start < 10
