/* The arithmetic coder of chapter 12, symbol by symbol, with so few digits that all can be seen.
   data.letters: {letter: units}, data.bits: the units are of 2^bits, data.message: what is coded first. */
(root, data) => {
    const letters = Object.keys(data.letters), total = 1n << BigInt(data.bits), say = root.querySelector("output");
    const input = root.querySelector("input"), rows = root.querySelector(".rows"), next = root.querySelector(".step");
    const back = root.querySelector(".back"), colours = ["#3b82c4", "#e0803a", "#3fa66b", "#c2558f"];
    const starts = {};
    let sum = 0n, done = 0, message = "";
    for (const letter of letters) { starts[letter] = sum; sum += BigInt(data.letters[letter]); }

    const part = (letter, width) => {  // first and last number of a letter's part
        const start = starts[letter], stop = start + BigInt(data.letters[letter]);
        return [(start * width + total - 1n) / total, (stop - 1n) * width / total];
    };
    const binary = (number, digits) => digits ? number.toString(2).padStart(Number(digits), "0") : "";

    function states() {  // before each symbol, and after the last
        let low = 0n, width = 1n, digits = 0n;
        const list = [];
        for (let i = 0; i < done; i++) {
            while (width < total) { low *= 2n; width *= 2n; digits++; }
            const [a, b] = part(message[i], width);
            list.push({low, width, digits, letter: message[i], a, b});
            low += a; width = b - a + 1n;
        }
        return [list, {low, width, digits}];
    }

    function shortest({low, width, digits}) {  // the number of the interval that ends in the most zeros, without them
        const last = low + width - 1n;
        let zeros = 0n;
        while (zeros < digits && (last >> (zeros + 1n) << (zeros + 1n)) >= low) zeros++;
        return binary(last >> zeros, digits - zeros).replace(/0+$/, "");
    }

    function bar(state) {
        const row = document.createElement("div"), picture = document.createElement("div");
        row.className = "row"; picture.className = "bar";
        let text = "";
        for (const letter of letters) {
            const [a, b] = part(letter, state.width), piece = document.createElement("span");
            piece.style.left = `${100 * Number(a) / Number(state.width)}%`;
            piece.style.width = `${100 * Number(b - a + 1n) / Number(state.width)}%`;
            piece.style.setProperty("--tint", colours[letters.indexOf(letter) % colours.length]);
            piece.textContent = letter;
            if (letter === state.letter) piece.className = "chosen";
            picture.append(piece);
        }
        text = `${state.letter}: of ${state.width} numbers from ${binary(state.low, state.digits)}, ` +
            `keeps ${state.a === state.b ? state.a : `${state.a} to ${state.b}`}`;
        row.append(picture, Object.assign(document.createElement("p"), {textContent: text}));
        return row;
    }

    function draw() {
        const [list, end] = states();
        rows.replaceChildren(...list.map(bar));
        let bits = 0;
        for (const letter of message.slice(0, done)) bits -= Math.log2(data.letters[letter] / Number(total));
        const code = shortest(end);
        say.textContent = done ? `“${message.slice(0, done)}” is ${code || "the empty code"}: ${code.length} ` +
            `${code.length === 1 ? "digit" : "digits"}; by its probability ${bits.toFixed(1)} bits` :
            "Nothing is coded yet: the interval is everything.";
        next.disabled = done >= message.length;
        back.disabled = !done;
        next.textContent = done < message.length ? `Code “${message[done]}”` : "Done";
        root.dataset.code = code;
    }

    input.addEventListener("input", () => {
        message = [...input.value.toLowerCase()].filter(letter => letter in data.letters).join("");
        input.value = message; done = 0; draw();
    });
    next.addEventListener("click", () => { done++; draw(); });
    back.addEventListener("click", () => { done--; draw(); });
    root.querySelector(".again").addEventListener("click", () => { done = 0; draw(); });
    message = input.value = data.message;
    draw();
}
