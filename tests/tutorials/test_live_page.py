"""The live page in headless Chromium, from a plain file server: with a microphone, with a dropped file, and what it
saves, which the package decodes to the sound that was played."""

import base64
import functools
import http.server
import io
import threading

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers.paths import DATA
from tests.tutorials.conftest import watched_page

pytest.importorskip("playwright.sync_api", reason="needs the extra `browser` (playwright)")

# Before the page's own programs: keep each sound that is put into a buffer, and listen to the loudspeaker.
TAP = """
const put = AudioBuffer.prototype.copyToChannel, connect = AudioNode.prototype.connect;
window.sounds = [];
AudioBuffer.prototype.copyToChannel = function (samples, ...rest) {
    if (samples.length > 2000) window.sounds.push(Float32Array.from(samples));
    return put.call(this, samples, ...rest);
};
AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && this.context instanceof AudioContext) {
        window.tap ??= new AnalyserNode(this.context, {fftSize: 4096});
        connect.call(this, window.tap);
    }
    return connect.call(this, to, ...rest);
};
"""
LOUDNESS = """async () => {  // the peak in a second by the sound card's clock; its first fifth may be from before
    const from = tap.context.currentTime, out = new Float32Array(tap.fftSize);
    let peak = 0;
    for (let now = from; now < from + 1; now = tap.context.currentTime) {
        await new Promise((resolve) => setTimeout(resolve, 30));
        tap.getFloatTimeDomainData(out);
        if (now > from + 0.2) for (const x of out) peak = Math.max(peak, Math.abs(x));
    }
    return peak;
}"""
SOUND = """which => {  // in base64, which is many times faster to hand over than a list of numbers
    const bytes = new Uint8Array(window.sounds.at(which).buffer);
    return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
}"""
DROP = """async ([name, bytes]) => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], name));
    const event = {dataTransfer: dropped, bubbles: true, cancelable: true};
    document.getElementById("live").dispatchEvent(new DragEvent("drop", event));
}"""
LIGHT = """() => {
    const lit = document.getElementById("live-lit"), columns = new Set();
    const pixels = lit.getContext("2d").getImageData(0, 0, lit.width, lit.height);
    pixels.data.forEach((value, i) => i % 4 === 3 && value && columns.add((i >> 2) % lit.width));
    return columns.size;
}"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    if "live-missing" in (site / "live.html").read_text():
        pytest.skip("npm could not fetch onnxruntime-web when the site was built")
    with http.server.ThreadingHTTPServer(("localhost", 0), functools.partial(QuietHandler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def speech():
    """float32 [1, T] at the model's rate"""
    return tinyencodec.read_audio(DATA / "speech.flac", 24_000, 1)


@pytest.fixture(scope="module")
def microphone(launch, speech, tmp_path_factory):
    """A browser whose microphone gives the recording, over and over."""
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    soundfile.write(path, speech.T, 24_000, "PCM_16")
    chromium = launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                      f"--use-file-for-fake-audio-capture={path}")
    yield chromium
    chromium.close()


@pytest.fixture
def live(microphone, address):
    """The page with the codec loaded; from then on it must not ask anything of the server."""
    for page in watched_page(microphone, address):
        page.set_default_timeout(120_000)
        page.add_init_script(TAP)
        page.goto(address + "live.html")
        page.locator("#live-load").click()
        page.locator("#live-record").wait_for()
        later: list[str] = []
        page.on("request", lambda request, later=later: later.append(request.url))
        yield page
        assert not page.complaints
        assert not [url for url in later if not url.startswith("blob:") and not url.endswith("wave.svg")]


def wait_for_sound(page, speed=""):
    """Until a sound is open and decoded. `speed`: what was shown before."""
    page.wait_for_function("([before]) => document.getElementById('live-speed').textContent > ' '"
                           " && document.getElementById('live-speed').textContent !== before", arg=[speed])


def set_rate(page, codebooks):
    before = page.evaluate("window.sounds.length")
    page.locator("#live-rate").fill(str(codebooks))
    page.wait_for_function("before => window.sounds.length > before", arg=before)


def last_sound(page, which=-1):
    return np.frombuffer(base64.b64decode(page.evaluate(SOUND, which)), np.float32)


def drop(page, name, data):
    page.evaluate(DROP, [name, base64.b64encode(data).decode()])


def saved(page):
    with page.expect_download() as download:
        page.locator("#live-save").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def codes_in(data, codebooks):
    """The codes [K, F] in the bytes of a file."""
    payload = np.frombuffer(data[9 + int.from_bytes(data[5:9], "big"):], np.uint8)
    frames = 8 * payload.size // (10 * codebooks)
    bits = np.unpackbits(payload, bitorder="little")[:10 * codebooks * frames].reshape(frames, codebooks, 10)
    return (bits << np.arange(10)).sum(axis=2).T


def close(sound, other):
    """Whether two sounds are the same but for float16 weights: at least 45 dB apart from their difference."""
    return sound.shape == other.shape and 10 * np.log10(np.square(sound).sum() / np.square(sound - other).sum()) > 45


def speeds(page):
    words = page.locator("#live-speed").text_content().replace(",", "").split()
    return [float(before) for before, after in zip(words, words[1:]) if after in ("times", "times.")]


def work(page):
    """Seconds of processor time that the page has used so far, on all threads; other programs do not change it."""
    told = page.context.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in told if process["type"] == "renderer")


def test_a_dropped_file(live, speech):
    data = io.BytesIO()
    soundfile.write(data, speech.T, 24_000, format="WAV", subtype="PCM_16")
    before = work(live)
    drop(live, "a phrase.wav", data.getvalue())
    wait_for_sound(live)
    assert work(live) - before < speech.shape[1] / 24_000  # there and back, and drawn, faster than real time
    model = tinyencodec.load_model()
    for codebooks in (8, 1, 5, 16):
        if codebooks != 8:
            set_rate(live, codebooks)
        name, written = saved(live)
        assert name == "a phrase.ecdc"
        wanted = f"{codebooks}: {0.75 * codebooks:g} kbit/s, {len(written) / 1000:.1f} kB"
        assert live.locator("#live-cost").text_content().startswith(wanted)
        decoded, rate = tinyencodec.decompress(written)
        assert rate == 24_000 and close(decoded[0], last_sound(live))
    [(codes, _)] = model.encode(soundfile.read(io.BytesIO(data.getvalue()), dtype="float32")[0][None], 12.0)
    assert np.mean(codes_in(written, 16) == codes) > 0.98  # float16 weights
    assert len(speeds(live)) == 2


def test_the_microphone(live, speech):
    live.locator("#live-record").click()
    live.wait_for_function("parseFloat(document.getElementById('live-status').textContent.split(' ')[1]) > 2.5")
    live.locator("#live-record").click()
    wait_for_sound(live)
    name, data = saved(live)
    decoded, _ = tinyencodec.decompress(data)
    assert name == "recording.ecdc" and decoded.shape[1] > 2.5 * 24_000
    assert close(decoded[0], last_sound(live))
    recorded = last_sound(live, -2)  # the original
    assert recorded.size == decoded.shape[1]
    level = np.sqrt(np.square(recorded).mean())
    assert 0.2 < level / np.sqrt(np.square(speech).mean()) < 5
    assert len(speeds(live)) == 2


def test_playing_switching_and_lighting_up(live):
    live.locator(".live-clip", has_text="speech").click()
    wait_for_sound(live)
    live.locator("#live-play").click()
    assert live.evaluate(LOUDNESS) > 0.02
    live.keyboard.press("x")
    assert live.locator("#live-original").get_attribute("aria-pressed") == "true"
    assert live.evaluate(LOUDNESS) > 0.02
    assert 1 <= live.evaluate(LIGHT) <= 20
    position = float(live.locator("#live-seek").input_value())
    assert position > 1
    live.locator("#live-coded").click()
    assert float(live.locator("#live-seek").input_value()) >= position  # it went on
    live.locator("#live-play").click()
    assert live.evaluate(LOUDNESS) < 1e-3
    live.locator("#live-before").click(position={"x": 40, "y": 40})
    width = live.locator("#live-before").bounding_box()["width"]
    seconds = float(live.locator("#live-seek").get_attribute("max"))
    assert abs(float(live.locator("#live-seek").input_value()) - seconds * 40 / width) < 0.1


def test_muted_and_shuffled(live):
    live.locator(".live-clip", has_text="speech").click()
    wait_for_sound(live)
    whole, rows = last_sound(live), live.locator("#live-rows button")
    assert rows.count() == 16 and rows.nth(8).is_disabled()
    model = tinyencodec.load_model()
    _, data = saved(live)
    codes = codes_in(data, 8)
    rows.nth(0).click()
    live.wait_for_function("window.sounds.length == 3")
    z = sum(model.quantizer.codebooks[k][codes[k]] for k in range(1, 8))
    assert close(model.decoder(z)[:whole.size, 0], last_sound(live))
    rows.nth(0).click()
    live.wait_for_function("window.sounds.length == 4")
    assert rows.nth(0).get_attribute("aria-label") == "codebook 1: shuffled"
    assert not close(whole, last_sound(live)) and last_sound(live).std() > 0.1 * whole.std()
    assert saved(live)[1] == data
    rows.nth(0).click()
    live.wait_for_function("window.sounds.length == 5")
    assert np.array_equal(last_sound(live), whole)


def test_of_several_sounds_the_last_one_counts(live):
    for clip in ("guitar", "speech", "guitar"):
        live.locator(".live-clip", has_text=clip).click()
    live.locator("#live-status", has_text="guitar.flac: 6.0 s.").wait_for()
    live.locator("#live-rate").fill("2")
    live.locator("#live-rate").fill("3")
    live.locator("#live-after-title", has_text="2.25 kbit/s").wait_for()
    name, data = saved(live)
    decoded, _ = tinyencodec.decompress(data)
    assert name == "guitar.ecdc" and close(decoded[0], last_sound(live))


def test_what_is_no_sound(live):
    drop(live, "notes.txt", b"not a sound")
    live.locator("#live-status", has_text="notes.txt is not a sound file that this browser can read").wait_for()
    assert live.locator("#live-record").is_visible() and not live.locator("#live-sound").is_visible()


def test_light_dark_and_phone(live):
    live.locator(".live-clip", has_text="guitar").click()
    wait_for_sound(live)
    colours = "getComputedStyle(document.getElementById('live')).backgroundColor"
    light = live.evaluate(colours)
    live.emulate_media(color_scheme="dark")
    assert sum(map(int, light[4:-1].split(","))) > 600 > 200 > sum(map(int, live.evaluate(colours)[4:-1].split(",")))
    for width in (390, 320):
        live.set_viewport_size({"width": width, "height": 844})
        assert live.evaluate("document.documentElement.scrollWidth") == width
    sizes = live.eval_on_selector_all("#live button", "all => all.map(one => one.getBoundingClientRect().height)")
    assert min(size for size in sizes if size) >= 24


def test_from_a_file_it_says_what_to_do(site, page):
    page.goto((site / "live.html").as_uri())
    assert page.locator("#live-no-server").is_visible() or page.locator("#live-missing").is_visible()
    assert not page.complaints
