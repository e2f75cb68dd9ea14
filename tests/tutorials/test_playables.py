"""What can be played with, in headless Chromium: by mouse, finger and keyboard, and against NumPy where it computes."""

import json
import sys
import time

import numpy as np
import pytest

from tests.helpers.paths import ROOT

pytest.importorskip("playwright.sync_api", reason="needs the extra `browser` (playwright)")
pytest.importorskip("matplotlib", reason="needs the extra `tutorials`")
sys.path.insert(0, str(ROOT / "tutorials"))  # where `playable` and `book` are

import playable  # noqa: E402

LETTERS, BITS = {"a": 9, "b": 5, "c": 2}, 4
TURNS = 2 * np.pi * np.arange(72_000) / 24_000
TONES = [playable.version(f"{hertz} Hz", f"note {i}", 0.3 * np.sin(hertz * TURNS), 24_000)
         for i, hertz in enumerate((300, 600, 1200))]


def put(page, html, width=1280):
    page.set_viewport_size({"width": width, "height": 844})
    page.set_content(f'<html><body data-theme="light">{html}</body></html>')
    return page.locator(".playable")


def chosen(root):
    return int(root.get_attribute("data-chosen"))


class TestSwitcher:
    def test_slider_by_keyboard(self, page):
        root = put(page, playable.switcher("Tones", TONES, "slider", "tone"))
        pictures = set()
        for i in range(3):
            assert chosen(root) == i and f"{(300, 600, 1200)[i]} Hz: note {i}" == root.locator("output").inner_text()
            pictures.add(root.locator("img").get_attribute("src"))
            root.locator("input").press("ArrowRight")
        assert chosen(root) == 2 and len(pictures) == 3  # no step beyond the end
        assert root.locator("input").get_attribute("aria-valuetext") == "1200 Hz"
        root.locator("input").press("Home")
        assert chosen(root) == 0 and not page.complaints

    def test_a_change_goes_on_at_the_same_place(self, page):
        root = put(page, playable.switcher("Tones", TONES, "buttons", "tone"))
        page.evaluate("""() => {  // remember all sounds that are played
            window.played = []; const play = Audio.prototype.play;
            HTMLMediaElement.prototype.play = function () { played.push(this); return play.call(this); };
        }""")
        root.get_by_role("button", name="Play").click()
        page.wait_for_function("played.length === 1 && played[0].currentTime > 0.3")
        root.get_by_role("button", name="1200 Hz").click()
        page.wait_for_function("played.length === 2 && played[1].currentTime > 0.3 && !played[1].paused")
        assert page.evaluate("played[0].paused && Math.abs(played[1].currentTime - played[0].currentTime) < 1.5")
        pressed = [button.get_attribute("aria-pressed") for button in root.locator(".choice button").all()]
        assert pressed == ["false", "false", "true"]
        root.get_by_role("button", name="Pause").click()
        assert page.evaluate("played[1].paused") and not page.complaints
        assert root.locator(".line").evaluate("line => parseFloat(line.style.left)") > 5

    def test_a_click_on_the_picture_goes_there(self, page):
        root = put(page, playable.switcher("Tones", TONES, "slider", "tone"))
        page.wait_for_function("document.querySelector('.line').style.left === '0%'")
        box = root.locator("img").bounding_box()
        root.locator("img").click(position={"x": 0.5 * box["width"], "y": 10})
        page.wait_for_function("Math.abs(parseFloat(document.querySelector('.line').style.left) - 50) < 2")


class TestVoronoi:
    points = np.random.default_rng(0).normal(size=(300, 2)) * (0.3, 0.1)
    start = np.array([[-0.5, 0.5], [0.5, 0.5], [0.0, -0.5]])

    def put(self, page, width=1280):
        return put(page, playable.voronoi("Cells", self.points, self.start, 1.0), width)

    def entries(self, root):
        return np.array(json.loads(root.get_attribute("data-entries")))

    def snr(self, entries):
        points = np.round(self.points, 4)
        error = np.square(points[:, None] - entries).sum(axis=2).min(axis=1).sum()
        return 10 * np.log10(np.square(points).sum() / error)

    def test_k_means_is_that_of_numpy(self, page):
        root, entries = self.put(page), self.start.copy()
        for _ in range(5):
            assert np.allclose(self.entries(root), entries)
            assert abs(float(root.get_attribute("data-snr")) - self.snr(entries)) < 1e-9
            root.get_by_role("button", name="One round of k-means").click()
            owner = np.square(np.round(self.points, 4)[:, None] - entries).sum(axis=2).argmin(axis=1)
            for n in np.unique(owner):
                entries[n] = np.round(self.points, 4)[owner == n].mean(axis=0)
        assert "5 rounds" in root.locator("output").inner_text()
        root.get_by_role("button", name="Start again").click()
        assert np.allclose(self.entries(root), self.start) and not page.complaints

    @pytest.mark.parametrize("width", [1280, 390])
    def test_drag(self, page, width):
        root = self.put(page, width)
        handle, field = root.locator(".handle").nth(2), root.locator(".field").bounding_box()
        box = handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(field["x"] + 0.75 * field["width"], field["y"] + 0.25 * field["height"], steps=4)
        page.mouse.up()
        page.mouse.move(field["x"], field["y"])  # let go: it stays
        assert np.allclose(self.entries(root)[2], [0.5, 0.5], atol=0.02)
        assert abs(float(root.get_attribute("data-snr")) - self.snr(self.entries(root))) < 1e-9

    def test_a_finger_drags_the_entry_and_not_the_page(self, browser):
        context = browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True, is_mobile=True)
        page = context.new_page()
        root = put(page, '<meta name="viewport" content="width=device-width"><p style="height: 100px">above</p>'
                   + playable.voronoi("Cells", self.points, self.start, 1.0) + "<p style='height: 900px'>below</p>",
                   390)
        finger, field = context.new_cdp_session(page), root.locator(".field").bounding_box()
        box = root.locator(".handle").first.bounding_box()
        x, y, began = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, time.time()
        steps = [("touchStart", 0), *[("touchMove", i) for i in range(1, 11)], ("touchEnd", 10)]
        for number, (kind, i) in enumerate(steps):  # 8.9 pixels each 16 ms, and let go at that speed
            points = [] if kind == "touchEnd" else [{"x": x + 4 * i, "y": y + 8 * i}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points,
                                                     "timestamp": began + 0.016 * number})
        moved = self.entries(root)[0] - self.start[0]
        assert np.allclose(moved, [2 * 40 / field["width"], -2 * 80 / field["height"]], atol=0.03)
        assert page.evaluate("scrollY") == 0
        root.get_by_role("button", name="One round of k-means").tap()  # counts, however fast the finger was
        page.wait_for_function("document.querySelector('output').textContent.includes('1 round')")
        context.close()

    def test_keyboard(self, page):
        root = self.put(page)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
        assert np.allclose(self.entries(root)[0], [-0.45, 0.49])
        for _ in range(60):
            page.keyboard.press("ArrowUp")
        assert np.allclose(self.entries(root)[0], [-0.45, 1.0])  # never out of the field
        assert "entry 1 of 3, nearest to" in root.locator(".handle").first.get_attribute("aria-label")


def shortest_code(message):
    """The coder of `entropy.arithmetic`, with units of 2^BITS: the fewest digits that, before zeros, lie inside."""
    low, width, digits, total = 0, 1, 0, 1 << BITS
    starts = dict(zip(LETTERS, np.cumsum([0, *LETTERS.values()]).tolist()))
    for letter in message:
        while width < total:
            low, width, digits = 2 * low, 2 * width, digits + 1
        a = -(-starts[letter] * width // total)
        b = (starts[letter] + LETTERS[letter] - 1) * width // total
        low, width = low + a, b - a + 1
    for n in range(digits + 1):
        number = -(-low >> digits - n)  # the first multiple of 2^(digits - n) from low on
        if number << digits - n < low + width:
            return f"{number:b}".zfill(n) if n else ""
    raise AssertionError


class TestArithmetic:
    def put(self, page, width=1280):
        return put(page, playable.arithmetic("Coder", LETTERS, BITS, "abacab"), width)

    def test_every_step_is_the_coder(self, page):
        root = self.put(page)
        for n in range(7):
            assert root.get_attribute("data-code") == shortest_code("abacab"[:n]), n
            assert root.locator(".row").count() == n
            if n < 6:
                root.locator(".step").click()
        assert root.locator(".step").is_disabled() and root.locator(".step").inner_text() == "Done"
        root.get_by_role("button", name="Back").click()
        assert root.locator(".row").count() == 5 and root.get_attribute("data-code") == shortest_code("abaca")
        assert not page.complaints

    def test_messages_of_the_reader(self, page):
        root, random = self.put(page), np.random.default_rng(0)
        for size in (1, 2, 5, 12, 12, 12):
            message = "".join(random.choice(list(LETTERS), size))
            root.locator("input").fill(message)
            for _ in message:
                root.locator(".step").press("Enter")
            assert root.get_attribute("data-code") == shortest_code(message), message
        root.locator("input").fill("aXb?c")
        assert root.locator("input").input_value() == "abc"

    def test_the_chosen_part_is_drawn_where_it_lies(self, page):
        root = self.put(page, 390)
        root.locator(".step").press("Enter")
        root.locator(".step").press("Enter")
        pieces = root.locator(".row").last.locator("span")
        styles = pieces.evaluate_all("all => all.map(x => [x.className, x.style.left])")
        assert [name for name, _ in styles] == ["", "chosen", ""] and styles[0][1] == "0%"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_in_both_themes(site, page, theme):
    """On the real page: the words of each have a contrast of at least 4.5 to 1 with what is behind them."""
    for name, kinds in {"00_hear_it_first": {"switcher"}, "09_rvq": {"voronoi", "switcher"},
                        "12_arithmetic_coding": {"arithmetic"}}.items():
        page.goto((site / f"{name}.html").as_uri())
        page.evaluate(f"document.body.dataset.theme = '{theme}'")
        found = page.evaluate("""() => [...document.querySelectorAll(".playable")].map(root => {
            const rgb = x => getComputedStyle(x), light = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number)
                .map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
            const a = light(rgb(root.querySelector("output")).color), b = light(rgb(root).backgroundColor);
            return [root.className, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
        })""")
        assert {kind for name, _ in found for kind in name.split()} >= kinds | {"playable"}, (name, found)
        assert all(contrast >= 4.5 for _, contrast in found), (name, found)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_first_page_has_players_and_a_map_that_leads_on(site, page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.goto((site / "index.html").as_uri())
    labels = page.eval_on_selector_all("audio", "players => players.map(player => player.ariaLabel)")
    assert labels == ["original", "1.5 kbit/s", "3 kbit/s", "6 kbit/s", "12 kbit/s"]
    seen = page.locator("figure.drawing svg").bounding_box()
    assert 300 < seen["width"] <= width and seen["x"] >= 0 and seen["x"] + seen["width"] <= width
    targets = page.eval_on_selector_all("figure.drawing svg a", "links => links.map(link => link.getAttribute('href'))")
    assert len(targets) >= 5 and all((site / target).is_file() for target in targets)
    assert not page.complaints
    page.locator("figure.drawing svg a").first.click()
    assert page.url.endswith("01_sound_as_numbers.html")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_drawings_are_in_the_ink_of_the_theme(site, page, theme):
    page.goto((site / "09_rvq.html").as_uri())
    page.evaluate(f"document.body.dataset.theme = '{theme}'")
    inks = page.eval_on_selector_all("figure.drawing text", "all => all.map(text => getComputedStyle(text).fill)")
    assert len(inks) > 15 and len(set(inks)) == 1
    levels = [int(level) for level in inks[0].removeprefix("rgb(").rstrip(")").split(", ")]
    assert max(levels) < 60 if theme == "light" else min(levels) > 190
