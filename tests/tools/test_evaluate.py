"""What `tinyencodec evaluate` measures with: each figure reacts to what it is for, by as much as is known."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.paths import DATA
from tinyencodec import read_audio
from tinyencodec.tools.evaluate import distance, listening, measures
from tinyencodec.tools.evaluate.distance import MelScales, mel_distance, mel_filters, si_snr, spectrum
from tinyencodec.tools.evaluate.match import MOST_GAIN, find_delay, find_gain, match, shift
from tinyencodec.tools.evaluate.measures import MEASURES, find_measures, left_out


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def noisy(x, db, seed=1):
    """x and noise that has nothing of it, `db` below."""
    n = noise(*x.shape, seed=seed)
    n -= n.mean()
    n -= (n * x).sum() / (x * x).sum() * x
    return x + n * np.sqrt((x * x).sum() / (n * n).sum()) * 10 ** (-db / 20)


def tone(hertz, seconds=0.5, rate=24_000):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)[None]


class TestSiSnr:
    @pytest.mark.parametrize("db", [-10, 0, 6.67, 40])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_is_the_level_of_the_noise(self, db, channels):
        x = noise(channels, 5000)
        x -= x.mean()
        y = noisy(x, db)
        assert si_snr(x, y) == pytest.approx(db, abs=1e-9)
        assert si_snr(x, 0.1 * y + 3) == pytest.approx(db, abs=1e-9)

    def test_channels_share_one_scale(self):
        x = noise(2, 5000)
        assert si_snr(x, x * [[1], [0.5]]) < 12 < 100 < si_snr(x, 0.5 * x)

    def test_silence(self):
        x = noise(1, 100)
        assert np.isfinite([si_snr(x, 0 * x), si_snr(0 * x, x), si_snr(0 * x, 0 * x)]).all()


class TestMelDistance:
    @pytest.mark.parametrize("window", [32, 512])
    def test_spectrum_by_definition(self, window):
        x, hop = noise(2, 1000), window // 4
        found = spectrum(x, window)
        assert found.shape == (2, -(-1000 // hop) + 1, window // 2 + 1)
        hann, frame, bin = np.hanning(window + 1)[:-1], 4, 5
        piece = x[1, (frame - 2) * hop:(frame + 2) * hop]  # centred on frame * hop
        wave = np.exp(-2j * np.pi * bin / window * np.arange(window))
        assert found[1, frame, bin] == pytest.approx(abs((piece * hann * wave).sum()) / hann.sum(), abs=1e-9)

    def test_a_sine_at_full_scale_has_one_half(self):
        assert spectrum(tone(3000) / 0.3, 2048)[0, 10].max() == pytest.approx(0.5, abs=1e-3)

    def test_filters(self):
        filters = mel_filters(24_000, 2048)
        assert filters.shape == (1025, distance.BANDS) and filters.min() == 0 and 0.9 < filters.max() <= 1
        assert (np.diff(filters.argmax(axis=0)) > 0).all()

    def test_tells_decibels(self):
        """Twice as loud, or half as loud: 6.02 dB, that is 0.301, where the floor is far below."""
        x, mel = 10 * noise(1, 12_000), MelScales(24_000)
        for gain in (2, 0.5):
            assert mel_distance(mel(x)[-2:], mel(gain * x)[-2:]) == pytest.approx(0.301, abs=0.004)
        assert mel_distance(mel(x), mel(x)) == 0

    def test_grows_with_noise_and_with_what_is_left_out(self):
        x, mel = tone(440) + tone(5000), MelScales(24_000)
        spectra = mel(x)
        distances = [mel_distance(spectra, mel(noisy(x, db))) for db in (60, 40, 20, 0)]
        assert distances == sorted(distances) and distances[0] < 0.1 < 0.5 < distances[-1]
        assert mel_distance(spectra, mel(tone(440))) > 0.1

    def test_is_blind_to_phase(self):
        x, mel = tone(440), MelScales(24_000)
        assert mel_distance(mel(x), mel(-x)) < 1e-9

    @pytest.mark.parametrize("samples", [1, 100, 2049])
    def test_short_sounds_and_silence(self, samples):
        mel = MelScales(24_000)
        assert np.isfinite(mel_distance(mel(np.zeros((2, samples))), mel(noise(2, samples))))

    def test_channels_are_averaged(self):
        x, y, mel = noise(2, 4000), noise(2, 4000, seed=1), MelScales(8000)
        each = [mel_distance(mel(x[c:c + 1]), mel(y[c:c + 1])) for c in (0, 1)]
        assert mel_distance(mel(x), mel(y)) == pytest.approx(np.mean(each))


class TestMatch:
    @given(st.integers(-300, 300), st.integers(-200, 400), st.sampled_from([1, 2]))
    def test_finds_any_delay(self, delay, more, channels):
        x = noise(channels, 1500)
        y = noisy(shift(x, -delay, 1500 + more), 3)
        assert find_delay(x, y, 300) == delay

    @pytest.mark.parametrize("x", [tone(440), np.zeros((1, 2000)), noise(1, 1)], ids=["tone", "silence", "one sample"])
    def test_finds_none_where_there_is_none(self, x):
        assert find_delay(x, x, 500) == 0

    def test_a_delay_beyond_the_limit_is_not_found(self):
        x = noise(1, 3000)
        assert abs(find_delay(x, shift(x, -400, 3000), 300)) <= 300

    @given(st.integers(-12, 12), st.integers(0, 12))
    def test_shift_by_definition(self, delay, length):
        x = noise(2, 8)
        expected = [[row[t + delay] if 0 <= t + delay < 8 else 0 for t in range(length)] for row in x]
        assert np.array_equal(shift(x, delay, length), np.reshape(expected, (2, length)))

    @pytest.mark.parametrize("gain", [0.51, 0.95, 1, 1.9])
    def test_gain(self, gain):
        x = noise(2, 5000)
        assert find_gain(x, x / gain) == pytest.approx(gain, abs=1e-6)

    def test_gain_is_limited(self):
        x = noise(1, 5000)
        assert find_gain(x, 0.01 * x) == MOST_GAIN and find_gain(x, 100 * x) == 1 / MOST_GAIN
        assert find_gain(x, 0 * x) == 1

    def test_gain_of_the_same_spectrum_in_another_phase(self):
        """Least squares of the waveforms would turn this down to nothing."""
        x = noise(1, 24_000)
        spectrum = np.fft.rfft(x)
        turned = np.fft.irfft(spectrum * np.exp(2j * np.pi * np.random.default_rng(1).random(spectrum.shape)), 24_000)
        assert abs((x * turned).sum() / (x * x).sum()) < 0.05
        assert 0.75 < find_gain(x, turned) < 1.25

    def test_undoes_it_all(self):
        """What is late, soft, cut off and noisy measures as the noise alone."""
        x = noise(2, 8000)
        x -= x.mean()
        y = match(x, 0.6 * shift(noisy(x, 20), -1105, 8000 + 2000), 8000)
        assert y.delay == 1105 and y.gain == pytest.approx(1 / 0.6, rel=0.02) and y.wav.shape == x.shape
        assert si_snr(x, y.wav) == pytest.approx(20, abs=0.01)
        early = match(x, shift(x, 300, 7000), 8000)
        assert early.delay == -300 and np.abs(early.wav[:, 300:7300] - x[:, 300:7300]).max() < 0.1
        assert not early.wav[:, :300].any() and not early.wav[:, 7300:].any()


@pytest.fixture(scope="module")
def speech():
    return read_audio(DATA / "speech.flac", 24_000, 1)[:, :72_000]


def score_of(name):
    measure = next(measure for measure in MEASURES if measure.name == name)
    pytest.importorskip(measure.module)
    return measure.score


LISTENING = ("pesq", "stoi", "visqol", "visqol_speech")


class TestListening:
    @pytest.mark.parametrize("name, best", [("pesq", 4.64), ("stoi", 1.0), ("visqol", 4.73), ("visqol_speech", 5.0)])
    def test_falls_with_noise(self, name, best, speech):
        score = score_of(name)
        same, good, bad = (score(speech, y, 24_000) for y in (speech, noisy(speech, 20), noisy(speech, 0)))
        assert same == pytest.approx(best, abs=0.01) and same > good > bad > 0
        assert score(np.concatenate([speech, speech]), np.concatenate([speech, speech]), 24_000) == pytest.approx(same)

    @pytest.mark.parametrize("name", LISTENING)
    def test_none_for_what_is_too_short(self, name, speech):
        assert score_of(name)(speech[:, :1000], speech[:, :1000], 24_000) is None

    def test_visqol_hears_the_treble(self, speech):
        pytest.importorskip("visqol")
        pytest.importorskip("pesq")
        spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(speech.shape))
        spectrum[:, :spectrum.shape[1] * 10 // 12] = 0
        hissing = speech + 0.003 * np.fft.irfft(spectrum)  # from 10 kHz on
        assert listening.visqol(speech, hissing, 24_000) < 2.5 and listening.pesq(speech, hissing, 24_000) > 4.6

    def test_only_some_are_for_all_kinds(self):
        names = {speech: [measure.name for measure in find_measures(speech)] for speech in (True, False)}
        assert names[False] == [name for name in names[True] if name not in ("pesq", "stoi", "visqol_speech")]
        assert names[False][:2] == ["si_snr_aligned", "mel"]

    @pytest.mark.parametrize("name", LISTENING)
    def test_silence_is_the_worst_that_speech_can_become(self, name, speech):
        score = score_of(name)
        assert score(speech, 0 * speech, 24_000) == listening.WORST[name]
        assert score(0 * speech, speech, 24_000) is None

    def test_what_is_not_installed_is_not_found(self, monkeypatch):
        monkeypatch.setattr(measures.importlib.util, "find_spec", lambda name: None)
        assert [measure.name for measure in find_measures(speech=True, details=False)] == ["si_snr_aligned", "mel"]
        details = [measure.name for measure in find_measures(speech=True) if measure.detail]
        assert details == ["si_snr", "error_0_1", "error_1_4", "error_4_8", "error_8_12", "error_12_24", "comb"]
        assert [line.split(":")[0] for line in left_out(speech=True)] == ["PESQ", "STOI", "VISQOL"]
        assert [line.split(":")[0] for line in left_out(speech=False)] == ["VISQOL"]
