"""Which clips `tinyencodec evaluate` draws: always the same, none silent, none twice, everybody's turn."""

import numpy as np
import pytest
import soundfile

from tests.helpers.evaluation import write_corpus
from tinyencodec.tools.evaluate.clips import PEAK, Sound, corpus_sounds, draw_clips, file_sounds

RATE = 1000


def sound(name, seconds, silent=()):
    """A ramp, so that a sample tells its place; silent from ... to, in seconds."""

    def read(start, length):
        t = np.arange(int(start * RATE), int(start * RATE) + round(length * RATE))
        wav = 0.2 + 0.2 * t / RATE / 100 * np.where(t % 2, 1, -1)
        return np.where([any(a <= i / RATE < b for a, b in silent) for i in t], 0, wav)[None].astype(np.float32)

    return lambda: Sound(name, seconds, read)


def spans(clips):
    return sorted((clip.name, clip.start, clip.start + clip.wav.shape[1] / RATE) for clip in clips)


def test_the_seed_and_the_kind_decide():
    groups = [[sound(f"{group}{i}", 20) for i in range(5)] for group in "ab"]
    first = draw_clips("speech", groups, 6, 2.0, seed=1)
    assert spans(first) == spans(draw_clips("speech", groups, 6, 2.0, seed=1))
    assert spans(first) != spans(draw_clips("speech", groups, 6, 2.0, seed=2))
    assert spans(first) != spans(draw_clips("music", groups, 6, 2.0, seed=1))


def test_groups_and_sounds_take_turns():
    groups = [[sound(f"a{i}", 20) for i in range(50)], [sound("b", 1000)], [sound(f"c{i}", 20) for i in range(3)]]
    names = [clip.name for clip in draw_clips("music", groups, 6, 2.0, seed=0)]
    assert {name[0] for name in names[:3]} == {"a", "b", "c"}
    assert len(set(names)) == 6 and names.count("b") == 1


def test_no_two_overlap():
    clips = spans(draw_clips("music", [[sound("a", 20.5)], [sound("b", 9)]], 100, 2.0, seed=0))
    assert len(clips) == 10 + 4  # all that there is
    for (name, _, end), (other, start, _) in zip(clips, clips[1:]):
        assert name != other or end <= start + 0.002
    assert all(0 <= start and end <= (20.5 if name == "a" else 9) for name, start, end in clips)


def test_silence_is_drawn_again():
    clips = draw_clips("music", [[sound("a", 20, silent=[(0, 13)]), sound("b", 20, silent=[(0, 20)])]], 3, 2.0, seed=3)
    assert len(clips) == 3
    assert all(clip.name == "a" and clip.start + 2 > 13 for clip in clips)
    with pytest.raises(ValueError, match="not silent, got none"):
        draw_clips("music", [[sound("a", 20, silent=[(0, 20)])]], 3, 2.0, seed=3)


def test_short_sounds_only_if_there_is_nothing_else():
    groups = [[sound("short", 1.5), sound("long", 3), sound("shorter", 0.4)], []]
    assert spans(draw_clips("speech", groups, 1, 2.0, seed=0))[0][0] == "long"
    clips = draw_clips("speech", groups, 9, 2.0, seed=0)
    assert [clip.name for clip in clips] == ["long", "short"] and clips[1].wav.shape == (1, 1500)
    with pytest.raises(ValueError, match="at least 0.5 s"):
        draw_clips("speech", [], 3, 2.0, seed=0)


def test_clips_fit_16_bits_and_leave_room():
    for clip in draw_clips("music", [[sound("a", 100)]], 9, 2.0, seed=0):
        assert clip.wav.dtype == np.float32 and np.abs(clip.wav).max() <= PEAK
        assert np.array_equal(clip.wav * 32768, np.round(clip.wav * 32768))


def test_files(tmp_path):
    for name, rate, seconds in (("x/a.wav", 16_000, 3), ("x/y/b.flac", 24_000, 3), ("c.wav", 8000, 3)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        wav = 0.9 * np.sin(2 * np.pi * 440 * np.arange(seconds * rate) / rate)
        soundfile.write(tmp_path / name, np.stack([wav, wav], axis=1), rate)
    (tmp_path / "x/broken.mp3").write_bytes(b"no sound")
    (tmp_path / "x/notes.txt").write_text("no sound")
    (tmp_path / "empty").mkdir()
    clips = draw_clips("music", file_sounds([tmp_path / "x", tmp_path / "c.wav"], 24_000, 1), 3, 1.0, seed=0)
    assert {clip.name for clip in clips} == {"a.wav", "y/b.flac", "c.wav"}
    for clip in clips:
        assert clip.wav.shape == (1, 24_000)
        power = np.abs(np.fft.rfft(clip.wav[0]))
        assert power.argmax() == 440
    with pytest.raises(FileNotFoundError):
        file_sounds([tmp_path / "nothing"], 24_000, 1)
    with pytest.raises(ValueError, match="empty: expected a file, or a folder"):
        file_sounds([tmp_path / "empty"], 24_000, 1)
    with pytest.raises(ValueError, match="expected an audio file"):
        draw_clips("music", file_sounds([tmp_path / "x/notes.txt"], 24_000, 1), 3, 1.0, seed=0)


def test_corpus(tmp_path):
    sounds = corpus_sounds(write_corpus(tmp_path / "corpus"), "test", 16_000, 2)
    assert list(sounds) == ["speech"]
    clips = draw_clips("speech", sounds["speech"], 5, 1.0, seed=0)
    assert {clip.name for clip in clips} == {"package/440.wav"} and len(clips) == 4
    assert clips[0].wav.shape == (2, 16_000) and np.abs(np.fft.rfft(clips[0].wav[1])).argmax() == 440
    held_out = corpus_sounds(tmp_path / "corpus", "validation", 16_000, 2)["speech"][0][0]()  # the end of a sound
    assert held_out.name != "package/440.wav" and 0 < held_out.seconds < 2


def test_a_damaged_file_in_a_folder_is_passed_over(tmp_path):
    (tmp_path / "songs").mkdir()
    wav = 0.3 * np.random.default_rng(0).standard_normal(40_000)
    for name in ("good.wav", "bad.wav"):
        soundfile.write(tmp_path / "songs" / name, np.where(name == "bad.wav", np.nan, wav), 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "songs/cut.flac", wav, 8000)
    whole = (tmp_path / "songs/cut.flac").read_bytes()
    (tmp_path / "songs/cut.flac").write_bytes(whole[:200])
    clips = draw_clips("music", file_sounds([tmp_path / "songs"], 8000, 1), 9, 1.0, seed=0)
    assert {clip.name for clip in clips} == {"good.wav"} and len(clips) == 5
    with pytest.raises(ValueError, match="bad.wav: expected undamaged sound of finite samples, got"):
        draw_clips("music", file_sounds([tmp_path / "songs/bad.wav"], 8000, 1), 9, 1.0, seed=0)
    with pytest.raises(ValueError, match="cut.flac"):
        draw_clips("music", file_sounds([tmp_path / "songs/cut.flac"], 8000, 1), 9, 1.0, seed=0)
