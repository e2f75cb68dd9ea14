// In the audio thread: hands on what the microphone gives.
registerProcessor("recorder", class extends AudioWorkletProcessor {
    process([[channel]]) {
        if (channel) this.port.postMessage(channel.slice());
        return true;
    }
});
