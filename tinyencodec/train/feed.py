"""Batches ahead of time: other threads draw the clips of coming steps while the model computes."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinyencodec.train.mixing import Mixer


def batches(mixer: Mixer, step: int, size: int, rank: int = 0, workers: int = 0) -> Generator[np.ndarray, None, None]:
    """Yield the clips [size, C, T] of `step`, `step` + 1, ... without end.

    workers : threads that draw; 0: draw when asked. The clips do not depend on it.
    """
    if workers < 1:
        while True:
            yield mixer.batch(step, size, rank)
            step += 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque = deque()
        try:
            while True:
                while len(waiting) < 2 * workers:
                    waiting.append(pool.submit(mixer.batch, step, size, rank))
                    step += 1
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
