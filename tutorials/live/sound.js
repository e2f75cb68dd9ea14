// Sound from files and from the microphone, as one channel at the model's rate: Float32Array [T].
export const LONGEST = 30; // seconds

// The bytes of a file in any format that the browser knows.
export async function fromFile(bytes, rate) {
    const sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes); // and resampled
    const wav = new Float32Array(Math.min(sound.length, LONGEST * rate));
    for (let c = 0; c < sound.numberOfChannels; c++) {
        const channel = sound.getChannelData(c);
        for (let t = 0; t < wav.length; t++) wav[t] += channel[t] / sound.numberOfChannels;
    }
    return {wav, cut: sound.length > wav.length};
}

// Starts to record; returns a function that stops and gives the sound. `context` has the module recorder.js.
export async function record(context, rate, tick) {
    if (!navigator.mediaDevices) throw new Error("the browser lends the microphone only to https and to localhost");
    const stream = await navigator.mediaDevices.getUserMedia(
        {audio: {channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
    const microphone = context.createMediaStreamSource(stream), blocks = [];
    const recorder = new AudioWorkletNode(context, "recorder", {numberOfOutputs: 0, channelCount: 1,
                                                                channelCountMode: "explicit"});
    let size = 0;
    recorder.port.onmessage = ({data}) => {
        blocks.push(data);
        size += data.length;
        tick(size / context.sampleRate);
    };
    microphone.connect(recorder);
    return async () => {
        microphone.disconnect();
        recorder.port.onmessage = null;
        stream.getTracks().forEach((track) => track.stop());
        if (!size) throw new Error("the microphone gave nothing");
        const offline = new OfflineAudioContext(1, Math.ceil((size * rate) / context.sampleRate), rate);
        const buffer = offline.createBuffer(1, size, context.sampleRate), source = offline.createBufferSource();
        let at = 0;
        for (const block of blocks) buffer.copyToChannel(block, 0, at), at += block.length;
        source.buffer = buffer;
        source.connect(offline.destination);
        source.start();
        return (await offline.startRendering()).getChannelData(0);
    };
}
