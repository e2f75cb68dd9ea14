// What is on the page, and what happens when somebody uses it.
import {Codec} from "./codec.js";
import {ecdcBytes} from "./ecdc.js";
import {drawCodes, drawSpectrogram, lightUp} from "./pictures.js";
import {Player} from "./player.js";
import {fromFile, LONGEST, record} from "./sound.js";

const part = (name) => document.getElementById(`live-${name}`);
const facts = JSON.parse(part("facts").textContent);
const RATE = facts.sample_rate, WIDTH = Math.log2(facts.codebook_size); // Hz, bits of a code
const WAYS = ["on", "muted", "shuffled"]; // of a codebook
const codec = new Codec(), clips = {};
let context, player, stop; // `stop` ends a recording
let name, about, wav, codes, shuffled, speed; // of the sound that is open

part("start").hidden = false;
part("rate").max = facts.codebooks;
part("rate").value = facts.usual_codebooks;
for (let k = 0; k < facts.codebooks; k++) {
    const button = document.createElement("button");
    button.onclick = () => setWay(k, WAYS[(WAYS.indexOf(button.dataset.way) + 1) % WAYS.length]);
    part("rows").append(button);
    setWay(k, "on");
}

const tell = (text) => (part("status").textContent = text);
const guarded = (act) => async (...given) => {
    try {
        await act(...given);
    } catch (error) {
        tell(`That did not work: ${error.message}.`);
    }
};

part("load").onclick = guarded(async () => {
    part("load").disabled = true;
    part("loading").hidden = false;
    tell("Loading. After this, nothing more is fetched, and nothing that you record or open leaves your machine.");
    codec.onloaded = (bytes) => (part("loading").value = bytes / facts.bytes);
    context = new AudioContext();
    player = new Player(context, RATE);
    await context.audioWorklet?.addModule(new URL("recorder.js", import.meta.url)); // absent on an insecure page
    for (const {dataset: {clip}} of document.querySelectorAll(".live-clip"))
        clips[clip] = await (await fetch(new URL(clip, import.meta.url))).arrayBuffer();
    await codec.ask("load", facts);
    part("start").hidden = true;
    part("studio").hidden = false;
    tell("Ready. Choose a sound.");
});

// ---- where sounds come from --------------------------------------------------------------------

let opened = 0;
const openBytes = guarded(async (from, bytes) => {
    const mine = ++opened;
    const sound = await fromFile(bytes, RATE).catch(() => { throw new Error(`${from} is not a sound file that this browser can read`); });
    if (mine === opened) await open(from, sound.wav, sound.cut ? ` Only the first ${LONGEST} seconds.` : "");
});

async function open(from, sound, remark = "") {
    if (!sound.length) throw new Error(`${from} contains no sound`);
    const {codes: coded, seconds} = await codec.ask("encode", {wav: sound},
                                                    (done) => tell(`Encoding ${from}: ${percent(done)}`));
    if (!coded) return; // something newer is on its way
    [name, wav, codes, shuffled] = [from.replace(/\.[^.]*$/, ""), sound, coded, coded.map(shuffle)];
    about = `${from}: ${(wav.length / RATE).toFixed(1)} s.${remark}`;
    speed = {encode: wav.length / RATE / seconds};
    player.pause();
    player.sounds = {};
    player.at = 0;
    player.put("original", wav);
    part("seek").max = wav.length / RATE;
    part("sound").hidden = false;
    drawSpectrogram(part("before"), wav);
    await decode();
}

for (const button of document.querySelectorAll(".live-clip"))
    button.onclick = () => openBytes(button.dataset.clip, clips[button.dataset.clip].slice(0));
part("file").onchange = async ({target}) => {
    const [file] = target.files;
    if (file) await openBytes(file.name, await file.arrayBuffer());
    target.value = "";
};
const place = part("studio").parentElement;
for (const kind of ["dragover", "dragleave", "drop"])
    place.addEventListener(kind, (event) => {
        event.preventDefault();
        place.classList.toggle("over", kind === "dragover" && !part("studio").hidden);
        const [file] = kind === "drop" && !part("studio").hidden ? event.dataTransfer.files : [];
        if (file) file.arrayBuffer().then((bytes) => openBytes(file.name, bytes));
    });

part("record").onclick = guarded(async () => {
    if (!stop) {
        player.pause();
        part("record").disabled = true; // while the browser asks
        await context.resume();
        stop = await record(context, RATE, (seconds) => {
            tell(`Recording: ${seconds.toFixed(1)} s. Press again to stop.`);
            if (seconds >= LONGEST && stop) part("record").click();
        }).finally(() => (part("record").disabled = false));
    } else {
        const ended = stop;
        stop = null;
        opened++;
        showRecording();
        await open("recording", await ended());
    }
    showRecording();
});

function showRecording() {
    part("record").setAttribute("aria-pressed", Boolean(stop));
    part("record").textContent = stop ? "Stop" : "Record";
}

// ---- codes to sound ------------------------------------------------------------------------------

const count = () => Number(part("rate").value);
const way = (k) => part("rows").children[k].dataset.way;

function setWay(k, next) {
    const button = part("rows").children[k];
    button.dataset.way = next;
    button.textContent = `${k + 1} ${next}`;
    button.setAttribute("aria-label", `codebook ${k + 1}: ${next}`);
    if (codes) change();
}

// The rows that are heard: the first ones, a muted one as -1.
function heardCodes() {
    return codes.slice(0, count()).map((row, k) =>
        way(k) === "on" ? row : way(k) === "muted" ? new Int16Array(row.length).fill(-1) : shuffled[k]);
}

async function decode() {
    const mine = codes, rows = heardCodes(), kilobits = (count() * WIDTH * RATE) / facts.hop_length / 1000;
    const bytes = ecdcBytes(facts.model, wav.length, codes.slice(0, count()), WIDTH).length;
    const title = `${kilobits.toLocaleString("en")} kbit/s`;
    part("cost").textContent = `${count()}: ${title}, ${kilobytes(bytes)}; as 16-bit samples ${kilobytes(2 * wav.length)}`;
    part("rate").setAttribute("aria-valuetext", part("cost").textContent);
    part("save").textContent = `Save ${name}.ecdc`;
    part("saved").textContent = `Back to sound with: tinyencodec ${name}.ecdc ${name}.wav`;
    for (let k = 0; k < codes.length; k++) part("rows").children[k].disabled = k >= count();
    drawCodes(part("codes"), codes.map((row, k) => rows[k] ?? new Int16Array(row.length).fill(-1)), facts.codebook_size);
    const {wav: decoded, seconds} = await codec.ask("decode", {codes: rows}, (done) => tell(`Decoding: ${percent(done)}`));
    if (!decoded || mine !== codes) return; // something newer is on its way
    player.put("coded", decoded.subarray(0, wav.length));
    drawSpectrogram(part("after"), decoded.subarray(0, wav.length));
    part("after-title").textContent = `Coded, ${title}`;
    speed.decode = wav.length / RATE / seconds;
    part("speed").textContent = `On this machine, on one processor: encoding at ${speed.encode.toFixed(1)} times real ` +
        `time, decoding at ${speed.decode.toFixed(1)} times.`;
    tell(about);
    showPlaying();
}

let waiting;
function change() {
    clearTimeout(waiting);
    waiting = setTimeout(guarded(decode), 60);
}
part("rate").oninput = change;

function shuffle(row) {
    const mixed = row.slice();
    for (let i = mixed.length - 1; i > 0; i--) {
        const j = Math.floor(Math.random() * (i + 1));
        [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
    }
    return mixed;
}

part("save").onclick = () => {
    const link = document.createElement("a"), bytes = ecdcBytes(facts.model, wav.length, codes.slice(0, count()), WIDTH);
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = `${name}.ecdc`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

// ---- playing -------------------------------------------------------------------------------------

function togglePlaying() {
    player.playing ? player.pause() : player.play();
    showPlaying();
}

function showPlaying() {
    part("play").textContent = player.playing ? "Pause" : "Play";
    if (player.playing) requestAnimationFrame(showPlaying);
    if (!codes) return;
    const position = player.position;
    if (document.activeElement !== part("seek") || player.playing) part("seek").value = position;
    part("clock").textContent = `${position.toFixed(1)} / ${player.length.toFixed(1)} s`;
    for (const head of document.querySelectorAll(".live-head")) head.style.left = `${(100 * position) / player.length}%`;
    lightUp(part("lit"), part("codes"), Math.floor((position * RATE) / facts.hop_length));
}

function hear(which) {
    player.hear(which);
    for (const each of ["original", "coded"]) part(each).setAttribute("aria-pressed", each === which);
}

function seek(position) {
    player.seek(Math.min(Math.max(position, 0), player.length - 0.001));
    showPlaying();
}

part("play").onclick = togglePlaying;
part("original").onclick = () => hear("original");
part("coded").onclick = () => hear("coded");
part("seek").oninput = ({target}) => seek(Number(target.value));
for (const picture of document.querySelectorAll(".live-picture"))
    picture.onclick = ({offsetX}) => seek((player.length * offsetX) / picture.clientWidth);
document.addEventListener("keydown", (event) => {
    if (!codes || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, textarea")) return;
    const seconds = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === " " && !event.target.closest("button, a, summary")) togglePlaying();
    else if (event.key === "x") hear(player.heard === "coded" ? "original" : "coded");
    else if (seconds) seek(player.position + seconds);
    else return;
    event.preventDefault();
});

const percent = (part) => `${Math.round(100 * part)} %`;
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
