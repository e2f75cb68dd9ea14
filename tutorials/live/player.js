// Two sounds that play side by side, in a circle; one of them is heard.
export class Player {
    constructor(context, rate) {
        Object.assign(this, {context, rate, heard: "coded", playing: false, at: 0, began: 0, length: 1, sounds: {}});
    }

    // The sound of that name, "original" or "coded": Float32Array [T]. Playing goes on at the same position.
    put(name, wav) {
        const old = this.sounds[name], position = this.position;
        const buffer = this.context.createBuffer(1, wav.length, this.rate), gain = this.context.createGain();
        buffer.copyToChannel(wav, 0);
        gain.gain.value = Number(name === this.heard);
        gain.connect(this.context.destination);
        this.sounds[name] = {buffer, gain};
        this.length = buffer.duration;
        if (this.playing) this.#start(this.sounds[name], position);
        if (old) old.source?.stop(), old.gain.disconnect();
    }

    #start(sound, position) {
        sound.source = this.context.createBufferSource();
        Object.assign(sound.source, {buffer: sound.buffer, loop: true});
        sound.source.connect(sound.gain);
        sound.source.start(0, position % sound.buffer.duration);
    }

    get position() { // seconds
        return this.playing ? (this.at + this.context.currentTime - this.began) % this.length : this.at;
    }

    play(position = this.position) {
        this.pause();
        Object.assign(this, {at: position, began: this.context.currentTime, playing: true});
        for (const sound of Object.values(this.sounds)) this.#start(sound, position);
        return this.context.resume();
    }

    pause() {
        this.at = this.position;
        this.playing = false;
        for (const sound of Object.values(this.sounds)) sound.source?.stop(), (sound.source = null);
    }

    seek(position) {
        if (this.playing) this.play(position);
        else this.at = position;
    }

    hear(name) {
        this.heard = name;
        for (const [each, {gain}] of Object.entries(this.sounds))
            gain.gain.setTargetAtTime(Number(each === name), this.context.currentTime, 0.005);
    }
}
