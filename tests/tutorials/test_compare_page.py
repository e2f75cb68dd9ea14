"""The page of `tinyencodec compare` in headless Chromium, from `file://`: what is heard, what is seen, and that nothing
is asked of the network."""

import subprocess
import sys

import pytest

from tests.helpers.paths import DATA

pytest.importorskip("playwright.sync_api", reason="needs the extra `browser` (playwright)")
pytest.importorskip("jinja2", reason="needs the extra `compare` (jinja2, matplotlib)")

# Before the page's own script: listen to what goes to the loudspeaker, and count how often a sound is started.
TAP = """
const connect = AudioNode.prototype.connect, start = AudioBufferSourceNode.prototype.start;
window.starts = 0;
AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && this.context instanceof AudioContext) {
        window.tap ??= new AnalyserNode(this.context, {fftSize: 4096});
        connect.call(this, window.tap);
    }
    return connect.call(this, to, ...rest);
};
AudioBufferSourceNode.prototype.start = function (...args) { window.starts++; return start.apply(this, args); };
"""
SOUNDS = """async () => {
    const {sampleRate} = JSON.parse(document.getElementById("player").textContent);
    window.sounds = await Promise.all([...document.querySelectorAll("audio")].map(async (audio) => {
        const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), (letter) => letter.charCodeAt(0));
        return new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes.buffer);
    }));
    return sounds.map((sound) => ({seconds: sound.duration,
                                   peak: sound.getChannelData(0).reduce((a, b) => Math.max(a, Math.abs(b)), 0)}));
}"""
# Keep the last 4096 samples, with the page's clock and the sound card's: once 0.3 s have been played, and again if
# something held the page up between looking at the two. Then the sound card waits, so that no slow machine gets to the
# end of the sound.
LISTEN = """async () => {
    const from = tap.context.currentTime, samples = new Float32Array(tap.fftSize);
    let frame, position, time;
    do {
        frame = await new Promise(requestAnimationFrame);
        position = Number(document.getElementById("seek").value);
        time = tap.context.currentTime;
        tap.getFloatTimeDomainData(samples);
    } while (time < from + 0.3 || performance.now() > frame + 20);
    (window.kept ??= []).push({samples, position, time});
    await tap.context.suspend();
}"""
# Of all that was kept: which sound it is from, how surely (correlation), and how late beside the page's clock (s).
HEARD = """() => kept.map(({samples, position, time}) => {
    const rate = tap.context.sampleRate, most = Math.round(0.15 * rate);
    const size = samples.length, last = Math.round(position * rate);
    let best = {correlation: -1, position, time};
    sounds.forEach((sound, number) => {
        const data = sound.getChannelData(0);
        for (let lag = -most; lag <= most; lag++) {
            const first = last - lag - size;
            if (first < 0 || first + size > data.length) continue;
            let xy = 0, xx = 1e-12, yy = 1e-12;
            for (let i = 0; i < size; i += 2) {
                xy += samples[i] * data[first + i]; xx += samples[i] ** 2; yy += data[first + i] ** 2;
            }
            const correlation = xy / Math.sqrt(xx * yy);
            if (correlation > best.correlation) best = {correlation, number, late: lag / rate, position, time};
        }
    });
    return best;
})"""
PICTURES = """async () => {
    const found = [];
    for (const image of document.querySelectorAll("img")) {
        await image.decode();
        const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        pen.drawImage(image, 0, 0);
        const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data, colours = new Set();
        for (let i = 0; i < pixels.length; i += 4)
            if (pixels[i + 3] > 30) colours.add(`${pixels[i] >> 4} ${pixels[i + 1] >> 4} ${pixels[i + 3] >> 4}`);
        found.push({label: image.alt, width: canvas.width, height: canvas.height, colours: colours.size});
    }
    return found;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "a report.html"
    given = DATA / "guitar.flac"
    subprocess.run([sys.executable, "-m", "tinyencodec", "compare", str(given), "-o", str(path), "-b", "1.5,6",
                    "--seconds", "5", "--entropy", "table"], check=True)
    return path


@pytest.fixture
def opened(report, page):
    page.add_init_script(TAP)
    page.goto(report.as_uri())
    page.locator("#play:enabled").wait_for()
    yield page
    assert not page.complaints


def position(page):
    return page.evaluate("Number(document.getElementById('seek').value)")


def wait_for_position(page, low, high=5):
    page.wait_for_function("([low, high]) => { const at = Number(document.getElementById('seek').value);"
                           " return low < at && at < high; }", arg=[low, high])


def test_every_sound_and_picture_is_there(opened):
    sounds = opened.evaluate(SOUNDS)
    assert len(sounds) == 3 and all(sound["seconds"] == 5 and sound["peak"] > 0.01 for sound in sounds), sounds
    pictures = opened.evaluate(PICTURES)
    assert [picture["label"] for picture in pictures] == [
        "Spectrogram: original", "Spectrogram: 1.5 kbit/s", "Difference from the original: 1.5 kbit/s",
        "Spectrogram: 6 kbit/s", "Difference from the original: 6 kbit/s"]
    assert all(picture["width"] > 400 and picture["height"] == 256 and picture["colours"] > 20 for picture in pictures)


def test_plays_and_switches_where_it_is(opened):
    opened.evaluate(SOUNDS)
    opened.locator("#play").click()
    opened.evaluate(LISTEN)
    for key in "3213":
        opened.evaluate("tap.context.resume()")
        opened.keyboard.press(key)
        assert opened.locator(".choice[aria-pressed=true]").get_attribute("data-source") == str(int(key) - 1)
        opened.evaluate(LISTEN)
    heard = opened.evaluate(HEARD)
    assert [one.get("number") for one in heard] == [0, 2, 1, 0, 2], heard
    assert all(one["correlation"] > 0.99 for one in heard), heard
    assert all(abs(one["late"]) < 0.05 for one in heard), heard
    shifts = [one["position"] - one["time"] for one in heard]  # against the sound card's clock: nothing left out
    assert max(shifts) - min(shifts) < 0.05, heard
    assert opened.evaluate("starts") == 3  # each sound once: no switch has started one again


def test_pause_seek_and_loop(opened):
    opened.keyboard.press(" ")
    wait_for_position(opened, 0.1)
    opened.keyboard.press(" ")
    at = position(opened)
    opened.locator(".choice").nth(1).click()  # while it is silent
    opened.wait_for_timeout(200)
    assert position(opened) == at
    opened.keyboard.press("ArrowRight")
    assert position(opened) == pytest.approx(at + 2, abs=0.02)
    box = opened.locator(".picture").nth(1).bounding_box()
    opened.mouse.click(box["x"] + 0.94 * box["width"], box["y"] + 20)
    assert position(opened) == pytest.approx(4.7, abs=0.02)
    opened.locator("#seek").fill("4.8")
    assert position(opened) == pytest.approx(4.8, abs=0.02)
    opened.keyboard.press("l")
    opened.keyboard.press(" ")
    wait_for_position(opened, 0.1, 2)  # from its end to its start
    assert opened.locator("#play.playing").count() == 1
    opened.keyboard.press("l")
    opened.keyboard.press("ArrowLeft")
    for _ in range(2):
        opened.keyboard.press("ArrowRight")
    opened.locator("#play:not(.playing)").wait_for()  # at its end it stops
    assert position(opened) == 0


def test_difference_view_and_themes(opened):
    shown = "[...document.querySelectorAll('img')].map(x => getComputedStyle(x).visibility == 'visible')"
    assert opened.evaluate(shown) == [True, True, False, True, False]
    opened.locator("button.view", has_text="Difference").click()
    assert opened.evaluate(shown) == [True, False, True, False, True]
    opened.keyboard.press("d")
    assert opened.evaluate(shown) == [True, True, False, True, False]
    colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    light = opened.evaluate(colours)
    opened.emulate_media(color_scheme="dark")
    dark = opened.evaluate(colours)
    assert sum(map(int, light[0][4:-1].split(","))) > 600 > 200 > sum(map(int, dark[0][4:-1].split(",")))
    assert light[1] != dark[1]


@pytest.mark.parametrize("width", [320, 390])
def test_fits_a_phone(opened, width):
    opened.set_viewport_size({"width": width, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    heights = opened.eval_on_selector_all("button", "all => all.map(button => button.getBoundingClientRect().height)")
    assert min(heights) >= 40


def test_players_of_the_browser_where_there_is_no_script(report, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("audio >> visible=true").count() == 3 and not page.locator("#play").is_visible()
    context.close()
