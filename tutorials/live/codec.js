// The page's side of the worker: each order is a promise.
export class Codec {
    constructor() {
        this.worker = new Worker(new URL("worker.js", import.meta.url), {type: "module"});
        this.orders = new Map();
        this.count = 0;
        this.onloaded = () => {};
        this.worker.onmessage = ({data}) => {
            if ("loaded" in data) return this.onloaded(data.loaded);
            const order = this.orders.get(data.id);
            if ("done" in data) return order.progress(data.done);
            this.orders.delete(data.id);
            "error" in data ? order.reject(new Error(data.error)) : order.resolve(data.result);
        };
    }

    // "load", "encode" or "decode", see the worker. progress(0 ... 1)
    ask(what, given, progress = () => {}) {
        return new Promise((resolve, reject) => {
            const id = ++this.count;
            this.orders.set(id, {resolve, reject, progress});
            this.worker.postMessage({id, what, given});
        });
    }
}
