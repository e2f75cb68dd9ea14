"use strict";
// All sounds run side by side from one clock, each through a gain that is 0 but for the one that is heard. To switch
// is to fade from one gain to another, so nothing restarts and no sample is lost.
(() => {
  const {sampleRate, seconds} = JSON.parse(document.getElementById("player").textContent);
  const FADE = 0.01, SKIP = 2, AHEAD = 0.02;  // seconds
  const root = document.documentElement, one = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const choices = all(".choice"), cards = all(".card"), rows = all("tbody tr"), views = all(".view");
  let buffers = [], voices = [], context = null;
  let source = 0, playing = false, loop = false;
  let offset = 0, started = 0;  // where in the sound it was, and when by the context's clock

  const position = () => {
    const at = offset + (playing ? Math.max(0, context.currentTime - started) : 0);
    return loop ? at % seconds : Math.min(at, seconds);
  };

  function start() {
    context ??= new AudioContext({sampleRate});
    context.resume();
    started = context.currentTime + AHEAD;
    voices = buffers.map((buffer, number) => {
      const node = new AudioBufferSourceNode(context, {buffer, loop});
      const gain = new GainNode(context, {gain: number === source ? 1 : 0});
      node.connect(gain).connect(context.destination);
      node.start(started, offset);
      return {node, gain: gain.gain};
    });
    const mine = voices;
    voices[0].node.onended = () => { if (voices === mine) { stop(); offset = 0; show(); } };
    playing = true;
    show();
  }

  function stop() {  // and remember where
    offset = position();
    playing = false;
    const old = voices;
    voices = [];
    for (const {node} of old) node.stop();
    show();
  }

  function toggle() {
    if (!buffers.length) return;
    if (playing) { stop(); return; }
    if (offset >= seconds - 0.01) offset = 0;
    start();
  }

  function seek(to) {
    if (!buffers.length) return;
    const again = playing;
    if (again) stop();
    offset = Math.min(Math.max(to, 0), seconds - 0.001);
    if (again) start(); else show();
  }

  function hear(number) {
    if (number >= choices.length) return;
    source = number;
    const now = context ? context.currentTime : 0;
    voices.forEach(({gain}, other) => {
      const value = gain.value;
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(value, now);
      gain.linearRampToValueAtTime(other === source ? 1 : 0, now + FADE);
    });
    choices.forEach((choice, other) => choice.setAttribute("aria-pressed", other === source));
    for (const some of [cards, rows]) some.forEach((item, other) => item.classList.toggle("heard", other === source));
  }

  function repeat() {
    if (playing) { offset = position(); started = Math.max(started, context.currentTime); }
    loop = !loop;
    for (const {node} of voices) node.loop = loop;
    one("loop").setAttribute("aria-pressed", loop);
  }

  function look(view) {
    root.dataset.view = view;
    for (const button of views) button.setAttribute("aria-pressed", button.dataset.view === view);
  }

  const clock = (t) => `${Math.floor(t / 60)}:${(Math.floor(t % 60 * 10) / 10).toFixed(1).padStart(4, "0")}`;
  const end = clock(Math.round(10 * seconds) / 10);

  function show() {
    const at = position();
    root.style.setProperty("--at", `${100 * at / seconds}%`);
    one("seek").value = at;
    one("seek").setAttribute("aria-valuetext", `${at.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
    one("clock").textContent = `${clock(at)} / ${end}`;
    one("play").classList.toggle("playing", playing);
    one("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  }
  const follow = () => { if (playing) show(); requestAnimationFrame(follow); };

  const press = (button, action) => button.addEventListener("click", (event) => {
    action();
    if (event.detail) button.blur();  // by mouse: then the space bar is for play and pause again
  });
  press(one("play"), toggle);
  press(one("loop"), repeat);
  choices.forEach((choice, number) => press(choice, () => hear(number)));
  for (const button of views) press(button, () => look(button.dataset.view));
  one("seek").addEventListener("input", (event) => seek(Number(event.target.value)));
  for (const picture of all(".picture")) {
    const to = (event) => {
      const box = picture.getBoundingClientRect();
      seek((event.clientX - box.left) / box.width * seconds);
    };
    picture.addEventListener("click", to);
    picture.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" && event.buttons & 1) to(event); });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key >= "1" && key <= "9" && key.length === 1) hear(Number(key) - 1);
    else if (key === " " && event.target.tagName !== "BUTTON") toggle();
    else if ((key === "arrowleft" || key === "arrowright") && !event.target.closest(".table"))
      seek(position() + (key === "arrowleft" ? -SKIP : SKIP));
    else if (key === "l") repeat();
    else if (key === "d") look(root.dataset.view === "level" ? "difference" : "level");
    else return;
    event.preventDefault();
  });

  async function decode(audio) {
    const text = atob(audio.src.slice(audio.src.indexOf(",") + 1));
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    return new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes.buffer);
  }
  root.classList.remove("plain");
  hear(0);
  show();
  Promise.all(all("audio").map(decode)).then((decoded) => {
    buffers = decoded;
    one("play").disabled = one("seek").disabled = false;
    requestAnimationFrame(follow);
  }, (error) => {  // players of the browser's own, one for each
    root.classList.add("plain");
    one("trouble").textContent = `This browser cannot play them side by side (${error.message}).`;
    one("trouble").hidden = false;
  });
})();
