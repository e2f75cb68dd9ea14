// The bytes of an .ecdc file of version 0, which the official program reads too: header, then each code as a number of
// `width` bits, the lowest first, all codebooks of a frame before the next frame.
export function ecdcBytes(model, samples, codes, width) {
    const told = `{"m": "${model}", "al": ${samples}, "nc": ${codes.length}, "lm": false}`;
    const bytes = new Uint8Array(9 + told.length + Math.ceil((codes.length * codes[0].length * width) / 8));
    bytes.set(new TextEncoder().encode("ECDC\0"));
    new DataView(bytes.buffer).setUint32(5, told.length);
    bytes.set(new TextEncoder().encode(told), 9);
    let bit = 8 * (9 + told.length);
    for (let frame = 0; frame < codes[0].length; frame++)
        for (const row of codes)
            for (let i = 0; i < width; i++, bit++) bytes[bit >> 3] |= ((row[frame] >> i) & 1) << (bit & 7);
    return bytes;
}
