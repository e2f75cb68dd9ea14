// The codec in a thread of its own: both streaming graphs, run piece by piece, so that the page stays awake.
import * as ort from "./ort.wasm.min.mjs";

const PIECE = 40; // frames given to a graph at once; not fewer than the first call needs
const latest = {}; // the number of the newest order of each kind
let facts, encoder, decoder;

async function load(told) {
    facts = told;
    let loaded = 0;
    const get = async (name) => {
        const response = await fetch(new URL(name, import.meta.url));
        if (!response.ok) throw new Error(`${name}: ${response.status}`);
        const parts = [], reader = response.body.getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
            parts.push(part.value);
            postMessage({loaded: loaded += part.value.length});
        }
        return new Uint8Array(await new Blob(parts).arrayBuffer());
    };
    ort.env.wasm.numThreads = 1; // several need headers that a plain file server does not send
    ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
    ort.env.wasm.wasmBinary = await get("ort-wasm-simd-threaded.wasm");
    const options = {executionProviders: ["wasm"]};
    encoder = await ort.InferenceSession.create(await get("encoder_stream.onnx"), options);
    decoder = await ort.InferenceSession.create(await get("decoder_stream.onnx"), options);
}

// Runs a graph over `frames` frames; yields each piece's results. The state goes from call to call.
async function* inPieces(graph, frames, give) {
    let state = {};
    for (const {name, shape} of graph.inputMetadata.filter((each) => each.name.startsWith("state."))) {
        const size = shape.map((n) => (typeof n === "number" ? n : 0)); // a length with a name: empty at first
        state[name] = new ort.Tensor("float32", new Float32Array(size.reduce((a, b) => a * b)), size);
    }
    for (let at = 0; at < frames; at += PIECE) {
        const n = Math.min(PIECE, frames - at), began = performance.now();
        const results = await graph.run({...give(at, n), ...state});
        state = Object.fromEntries(Object.keys(state).map((name) => [name, results[name.replace("state", "next")]]));
        yield {at, n, results, spent: (performance.now() - began) / 1000};
        await new Promise((resolve) => setTimeout(resolve)); // so that newer orders are heard
    }
}

// Float32Array [T] -> Int16Array [F] for each codebook; null if a newer order has come
async function encode({wav}, id) {
    const hop = facts.hop_length, frames = Math.ceil(wav.length / hop);
    const codes = Array.from({length: facts.codebooks}, () => new Int16Array(frames));
    let seconds = 0;
    const give = (at, n) => {
        const piece = wav.slice(at * hop, (at + n) * hop);
        return {audio: new ort.Tensor("float32", piece, [1, 1, piece.length])};
    };
    for await (const {at, n, results, spent} of inPieces(encoder, frames, give)) {
        if (latest.encode !== id) return {codes: null};
        codes.forEach((row, k) => row.set(Array.from(results.codes.data.subarray(k * n, (k + 1) * n), Number), at));
        seconds += spent;
        postMessage({id, done: (at + n) / frames});
    }
    return {codes, seconds};
}

// Int16Array [F] for each codebook (-1: nothing) -> Float32Array [F * hop]; null if a newer order has come
async function decode({codes}, id) {
    const hop = facts.hop_length, frames = codes[0].length, wav = new Float32Array(frames * hop);
    let seconds = 0;
    const give = (at, n) => {
        const piece = new BigInt64Array(codes.length * n);
        codes.forEach((row, k) => piece.set(Array.from(row.subarray(at, at + n), BigInt), k * n));
        return {codes: new ort.Tensor("int64", piece, [codes.length, n])};
    };
    for await (const {at, n, results, spent} of inPieces(decoder, frames, give)) {
        if (latest.decode !== id) return {wav: null};
        wav.set(results.audio.data, at * hop);
        seconds += spent;
        postMessage({id, done: (at + n) / frames});
    }
    return {wav, seconds};
}

const orders = {load, encode, decode};
onmessage = async ({data: {id, what, given}}) => {
    latest[what] = id;
    try {
        postMessage({id, result: await orders[what](given, id)});
    } catch (error) {
        postMessage({id, error: String(error.message ?? error)});
    }
};
