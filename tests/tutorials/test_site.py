"""The built site in headless Chromium, from `file://`: each page loads quietly and alone, each sound plays, each
figure shows something, and nothing is wider than a phone or too small to read on it."""

import re

import pytest

from tests.helpers.paths import ROOT

pytest.importorskip("playwright.sync_api", reason="needs the extra `browser` (playwright)")

CHAPTERS = sorted(path.stem for path in (ROOT / "tutorials").glob("[01][0-9]_*.py"))

SOUNDS = """async () => {
    const found = [], context = new OfflineAudioContext(1, 1, 48000);
    for (const audio of document.querySelectorAll("audio")) {
        const playable = new Promise((resolve, reject) => {
            audio.addEventListener("canplay", () => resolve(true), {once: true});
            audio.addEventListener("error", () => resolve(false), {once: true});
        });
        audio.preload = "auto"; audio.load();
        const bytes = await (await fetch(audio.src)).arrayBuffer();
        const sound = await context.decodeAudioData(bytes);
        let peak = 0;
        for (let c = 0; c < sound.numberOfChannels; c++)
            for (const x of sound.getChannelData(c)) peak = Math.max(peak, Math.abs(x));
        found.push({label: audio.ariaLabel, playable: await playable, seconds: sound.duration, peak});
    }
    return found;
}"""
FIGURES = """async () => {
    const found = [];
    for (const image of document.querySelectorAll(".plot img")) {
        await image.decode();
        const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        pen.drawImage(image, 0, 0);
        const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        let inked = 0; const colours = new Set();
        for (let i = 0; i < pixels.length; i += 4)
            if (pixels[i + 3] > 30) { inked++; colours.add(`${pixels[i] >> 4} ${pixels[i + 1] >> 4}`); }
        found.push({label: image.alt, width: canvas.width, inked: 4 * inked / pixels.length, colours: colours.size,
                    shown: getComputedStyle(image).display != "none", theme: image.className});
    }
    return found;
}"""


LOOK = """async () => {
    if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
    const all = what => [...document.querySelectorAll(what)].filter(x => x.checkVisibility());
    const size = text => text.getScreenCTM().a * parseFloat(text.getAttribute("font-size"));  // on the screen, pixels
    const shrunk = image => image.clientWidth < 0.65 * parseFloat(image.style.width);  // then its type is below 9, too
    const tiny = [...all("figure.drawing text").filter(x => size(x) < 9), ...all(".plot img").filter(shrunk)];
    const wide = [document.documentElement, ...all(".content")].map(x => x.scrollWidth);  // each of them can scroll
    return {broken: [...document.querySelectorAll("img")].filter(x => !x.naturalWidth).map(x => x.src),
            unread: document.querySelectorAll("mjx-merror").length, tiny: tiny.map(x => x.alt ?? x.textContent),
            width: Math.max(...wide)};
}"""


@pytest.mark.parametrize("part", range(4))
def test_every_page_is_quiet_needs_no_network_and_fits_a_phone(site, page, part):
    files = sorted(site.rglob("*.html"))
    listings = [path for path in files if "_modules" in path.parts]  # source code, all made in one way
    files = [path for path in files if path not in listings[5:]]
    assert len(files) > 80
    page.set_viewport_size({"width": 390, "height": 844})
    for path in files[part::4]:
        page.goto(path.as_uri())
        seen = page.evaluate(LOOK)
        fine = {"broken": [], "unread": 0, "tiny": [], "width": 390}
        assert seen == fine and not page.complaints, (path, seen, page.complaints)


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_is_seen_and_heard_and_its_code_fits_the_page(site, page, name):
    page.goto((site / f"{name}.html").as_uri())
    figures, sounds = page.evaluate(FIGURES), page.evaluate(SOUNDS)
    assert len(figures) >= 6
    assert [figure["shown"] for figure in figures] == [figure["theme"] == "only-light" for figure in figures]
    for figure in figures:
        assert figure["width"] >= 400 and figure["inked"] > 0.005 and figure["colours"] >= 2, figure
    for sound in sounds:
        assert sound["playable"] and sound["seconds"] > 0.1 and sound["peak"] > 1e-3, sound
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    wide = page.eval_on_selector_all("div.cell_input pre", """all => all.filter(
        pre => pre.scrollWidth > pre.clientWidth).map(pre => pre.innerText.slice(0, 60))""")
    assert not wide, f"code wider than the page: {wide}"
    assert not page.complaints


def test_a_player_plays(site, page):
    page.goto((site / "01_sound_as_numbers.html").as_uri())
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.2")


CONTRASTS = """() => {
    const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const colour = numbers(getComputedStyle(node).backgroundColor);
            if (colour.length < 4 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const found = [], walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest("mjx-container")) continue;
        const [a, b] = [luminance(numbers(getComputedStyle(node).color)), luminance(behind(node))];
        found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
    }
    return found;
}"""


def test_text_code_and_figures_are_readable_in_both_themes(site, page):
    """All text of a chapter, each token of its code as well, has a contrast of 4.5 : 1; figures change their ink."""
    page.goto((site / "01_sound_as_numbers.html").as_uri())
    background = "getComputedStyle(document.body).backgroundColor"
    figures = "[...document.querySelectorAll('.plot img')].filter(x => x.checkVisibility()).map(x => x.className)"
    page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    seen = {}
    for _ in range(3):  # automatic, light, dark, in a circle
        page.locator("button.theme-toggle").locator("visible=true").first.click()
        theme = page.evaluate("document.body.dataset.theme")
        seen[theme] = page.evaluate(background)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 500 and min(contrasts)[0] >= 4.5, (theme, sorted(contrasts)[:9])
        assert set(page.evaluate(figures)) == {"only-dark" if theme == "dark" else "only-light"}
    assert set(seen) == {"auto", "light", "dark"} and seen["light"] != seen["dark"] and seen["auto"] == seen["light"]


def test_plotting_code_is_folded(site, page):
    page.goto((site / "01_sound_as_numbers.html").as_uri())
    folded = page.locator("details.hide")
    assert folded.count() >= 6 and not folded.first.locator("pre").is_visible()
    folded.first.locator("summary").click()
    assert "book.show" in folded.first.locator("pre").inner_text() and folded.first.locator("pre").is_visible()


def test_solutions_are_behind_a_click(site, page):
    page.goto((site / "solutions" / "01_sound_as_numbers.html").as_uri())
    assert page.locator("article details").count() == 3 and not page.locator("article pre").first.is_visible()
    page.locator("article details summary").first.click()
    assert page.locator("article pre").first.is_visible()


def test_navigation_has_every_chapter_in_order(site, page):
    page.goto((site / "index.html").as_uri())
    links = page.eval_on_selector_all(".sidebar-tree a", "links => links.map(link => link.getAttribute('href'))")
    assert [link for link in links if re.match(r"[01]\d_", link)] == [f"{name}.html" for name in CHAPTERS]
    assert {"glossary.html", "solutions/index.html", "reference.html", "modules.html"} <= set(links)


def test_chapters_link_to_modules_and_back(site, page):
    page.goto((site / "09_rvq.html").as_uri())
    page.locator("#where-this-lives-in-the-package a", has_text="tinyencodec.codec.rvq").first.click()
    assert page.url.endswith("modules/tinyencodec.codec.rvq.html#module-tinyencodec.codec.rvq")
    page.locator("article a", has_text="Chapter 9").first.click()
    assert page.url.endswith("09_rvq.html")
