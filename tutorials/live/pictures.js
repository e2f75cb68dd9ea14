// Spectrograms, and codes as a picture.
const WINDOW = 1024, COLUMNS = 900, LOW = -95, HIGH = -25; // samples, pixels, dB
const COLOURS = [[0, 0, 4], [40, 17, 89], [101, 26, 128], [158, 47, 127], [213, 74, 104], [245, 125, 92],
                 [254, 186, 128], [252, 253, 191]]; // from dark to bright

// Levels of a sound [T], drawn into a canvas: time to the right, 0 Hz at the bottom, half the rate at the top.
export function drawSpectrogram(canvas, wav) {
    const height = WINDOW / 4, pen = canvas.getContext("2d"); // two frequencies in one pixel
    Object.assign(canvas, {width: COLUMNS, height});
    const picture = pen.createImageData(COLUMNS, height);
    const re = new Float64Array(WINDOW), im = new Float64Array(WINDOW);
    for (let x = 0; x < COLUMNS; x++) {
        const start = Math.round(((x + 0.5) * wav.length) / COLUMNS - WINDOW / 2);
        for (let i = 0; i < WINDOW; i++)
            re[i] = (wav[start + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
        im.fill(0);
        fft(re, im);
        for (let y = 0; y < height; y++) {
            const bin = 2 * y, power = Math.max(re[bin] ** 2 + im[bin] ** 2, re[bin + 1] ** 2 + im[bin + 1] ** 2);
            const level = 10 * Math.log10(power / (WINDOW / 2) ** 2 + 1e-12);
            picture.data.set(colour((level - LOW) / (HIGH - LOW)), 4 * ((height - 1 - y) * COLUMNS + x));
        }
    }
    pen.putImageData(picture, 0, 0);
}

function colour(level) {
    const at = Math.min(Math.max(level, 0), 1) * (COLOURS.length - 1), i = Math.min(Math.floor(at), COLOURS.length - 2);
    return [...COLOURS[i].map((value, c) => value + (at - i) * (COLOURS[i + 1][c] - value)), 255];
}

// The Fourier transform in place, of a length that is a power of two.
function fft(re, im) {
    const n = re.length;
    for (let i = 1, j = 0; i < n; i++) {
        let bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
    }
    for (let size = 2; size <= n; size *= 2)
        for (let k = 0; k < size / 2; k++) {
            const c = Math.cos((-2 * Math.PI * k) / size), s = Math.sin((-2 * Math.PI * k) / size);
            for (let a = k; a < n; a += size) {
                const b = a + size / 2, x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
                re[b] = re[a] - x, im[b] = im[a] - y, re[a] += x, im[a] += y;
            }
        }
}

// One pixel for each code, row by row; -1 is left empty. `entries`: of a codebook.
export function drawCodes(canvas, codes, entries) {
    Object.assign(canvas, {width: codes[0].length, height: codes.length});
    const pen = canvas.getContext("2d"), picture = pen.createImageData(canvas.width, canvas.height);
    codes.forEach((row, k) => row.forEach((code, frame) => {
        if (code >= 0) picture.data.set(hue((code * 0.618034) % 1, code / entries), 4 * (k * row.length + frame));
    }));
    pen.putImageData(picture, 0, 0);
}

function hue(turn, level) {
    const part = (shift) => 255 * (0.55 + 0.15 * level + 0.3 * Math.cos(2 * Math.PI * (turn + shift)));
    return [part(0), part(1 / 3), part(2 / 3), 255];
}

// The columns around a frame, as they are in `from`, and bright where it plays.
export function lightUp(canvas, from, frame) {
    Object.assign(canvas, {width: from.width, height: from.height});
    const pen = canvas.getContext("2d"), first = Math.max(0, frame - 14);
    pen.drawImage(from, first, 0, frame - first + 1, from.height, first, 0, frame - first + 1, from.height);
    pen.fillStyle = "#fffc";
    pen.fillRect(frame, 0, Math.max(1, from.width / 400), from.height);
}
