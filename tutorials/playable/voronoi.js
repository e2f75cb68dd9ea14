/* A cloud of points, a few entries that can be dragged, and the cell of each entry.
   data.points: [[x, y]] in -1 ... 1, data.entries: [[x, y]] at the start, data.reach: what 1 is drawn at. */
(root, data) => {
    const field = root.querySelector(".field"), canvas = root.querySelector("canvas"), say = root.querySelector("output");
    const colours = ["#3b82c4", "#e0803a", "#3fa66b", "#c2558f", "#8a6fd1", "#b8a130", "#4aa5a5", "#a0665a"];
    const pen = canvas.getContext("2d"), side = canvas.width, grid = 4;
    let entries = data.entries.map(entry => [...entry]), rounds = 0;

    const nearest = ([x, y]) => {
        let best = 0, least = Infinity;
        entries.forEach(([u, v], n) => {
            const d = (x - u) ** 2 + (y - v) ** 2;
            if (d < least) { least = d; best = n; }
        });
        return [best, least];
    };
    const place = (x, y) => [(x / data.reach + 1) / 2 * side, (1 - y / data.reach) / 2 * side];

    const handles = entries.map((_, n) => {
        const handle = Object.assign(document.createElement("button"), {type: "button", className: "handle"});
        handle.style.background = colours[n % colours.length];
        handle.addEventListener("pointerdown", event => { handle.setPointerCapture(event.pointerId); handle.focus(); });
        handle.addEventListener("pointermove", event => {
            if (!handle.hasPointerCapture(event.pointerId)) return;
            const box = field.getBoundingClientRect();
            move(n, (2 * (event.clientX - box.left) / box.width - 1) * data.reach,
                 (1 - 2 * (event.clientY - box.top) / box.height) * data.reach);
        });
        // A finger let go in motion would set off a fling, and the next tap would only end that: keep touches from gestures.
        handle.addEventListener("touchstart", event => event.preventDefault());
        handle.addEventListener("keydown", event => {
            const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
            if (!way) return;
            event.preventDefault();
            const step = data.reach * (event.shiftKey ? 0.01 : 0.05);
            move(n, entries[n][0] + step * way[0], entries[n][1] + step * way[1]);
        });
        field.append(handle);
        return handle;
    });

    function move(n, x, y) {
        const within = value => Math.max(-data.reach, Math.min(data.reach, value));
        entries[n] = [within(x), within(y)];
        draw();
    }

    function step() {  // each entry to the mean of its points
        const sums = entries.map(() => [0, 0, 0]);
        for (const point of data.points) {
            const sum = sums[nearest(point)[0]];
            sum[0] += point[0]; sum[1] += point[1]; sum[2]++;
        }
        entries = entries.map((entry, n) => sums[n][2] ? [sums[n][0] / sums[n][2], sums[n][1] / sums[n][2]] : entry);
        rounds++;
        draw();
    }

    function draw() {
        pen.clearRect(0, 0, side, side);
        for (let i = 0; i < side; i += grid)
            for (let j = 0; j < side; j += grid) {
                const x = (2 * (i + grid / 2) / side - 1) * data.reach, y = (1 - 2 * (j + grid / 2) / side) * data.reach;
                pen.globalAlpha = 0.3;
                pen.fillStyle = colours[nearest([x, y])[0] % colours.length];
                pen.fillRect(i, j, grid, grid);
            }
        pen.globalAlpha = 0.8;
        pen.fillStyle = getComputedStyle(root).color;
        let error = 0, energy = 0;
        const used = entries.map(() => 0);
        for (const point of data.points) {
            const [n, d] = nearest(point), [i, j] = place(...point);
            used[n]++; error += d; energy += point[0] ** 2 + point[1] ** 2;
            pen.fillRect(i - 1, j - 1, 2, 2);
        }
        handles.forEach((handle, n) => {
            handle.style.left = `${50 * (entries[n][0] / data.reach + 1)}%`;
            handle.style.top = `${50 * (1 - entries[n][1] / data.reach)}%`;
            handle.setAttribute("aria-label", `entry ${n + 1} of ${entries.length}, nearest to ${used[n]} points`);
        });
        const decibels = 10 * Math.log10(energy / error);
        say.textContent = `SNR ${decibels.toFixed(2)} dB, ${rounds} ${rounds === 1 ? "round" : "rounds"} of k-means`;
        root.dataset.snr = decibels;
        root.dataset.entries = JSON.stringify(entries);
    }

    root.querySelector(".step").addEventListener("click", step);
    root.querySelector(".again").addEventListener("click", () => {
        entries = data.entries.map(entry => [...entry]); rounds = 0; draw();
    });
    new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ["data-theme"]});
    draw();
}
