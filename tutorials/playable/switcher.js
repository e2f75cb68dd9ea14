/* Several versions of one sound, each with its picture: choosing another goes on at the same place in the sound.
   data.versions: [{label, note, sound, picture}], data.start: which is chosen first,
   data.choice: "slider" for versions in a row, "buttons" for any of them. */
(root, data) => {
    const {versions} = data, say = root.querySelector("output"), picture = root.querySelector("img");
    const play = root.querySelector(".play"), line = root.querySelector(".line"), choice = root.querySelector(".choice");
    const sounds = versions.map(version => Object.assign(new Audio(version.sound), {preload: "auto"}));
    let chosen = -1;

    function choose(next) {
        if (next === chosen) return;
        const before = sounds[chosen], after = sounds[next], running = before && !before.paused;
        if (before) { before.pause(); after.currentTime = before.currentTime; }
        chosen = next;
        if (running) after.play();
        picture.src = versions[next].picture;
        picture.alt = `Spectrogram: ${versions[next].label}`;
        say.textContent = `${versions[next].label}${versions[next].note ? ": " + versions[next].note : ""}`;
        root.dataset.chosen = next;
        if (data.choice === "slider") slider.setAttribute("aria-valuetext", versions[next].label);
        else choice.querySelectorAll("button").forEach((button, i) => button.setAttribute("aria-pressed", i === next));
    }

    let slider;
    if (data.choice === "slider") {
        slider = Object.assign(document.createElement("input"), {type: "range", min: 0, max: versions.length - 1, step: 1});
        slider.setAttribute("aria-label", data.what);
        slider.value = data.start;
        slider.addEventListener("input", () => choose(Number(slider.value)));
        choice.append(slider);
    } else {
        versions.forEach((version, i) => {
            const button = Object.assign(document.createElement("button"), {type: "button", textContent: version.label});
            button.addEventListener("click", () => choose(i));
            choice.append(button);
        });
    }
    play.addEventListener("click", () => sounds[chosen].paused ? sounds[chosen].play() : sounds[chosen].pause());
    sounds.forEach((sound, i) => ["play", "pause", "ended"].forEach(event => sound.addEventListener(event, () => {
        if (i === chosen) play.textContent = sound.paused ? "▶ Play" : "❚❚ Pause";
    })));
    picture.addEventListener("click", event => {
        const box = picture.getBoundingClientRect(), sound = sounds[chosen];
        if (sound.duration) sound.currentTime = sound.duration * (event.clientX - box.left) / box.width;
    });
    (function follow() {
        const sound = sounds[chosen];
        if (sound && sound.duration) line.style.left = `${100 * sound.currentTime / sound.duration}%`;
        requestAnimationFrame(follow);
    })();
    choose(data.start);
}
