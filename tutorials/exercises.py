"""What `book.check` knows: for each exercise a function that looks at a reader's answer.

It returns nothing if the answer is right, and a hint if not. The answers themselves are in `solutions/`; here they are
computed, or tried on random numbers, so that nothing is given away.
"""

from collections.abc import Callable

import numpy as np

CHECKS: dict[str, Callable[..., str | None]] = {}


class NotYet(Exception):
    """A function of the reader's still returns `...`, or nothing."""


def exercise(name: str) -> Callable[[Callable[..., str | None]], Callable[..., str | None]]:
    """Register the check of an exercise, such as "9.2"."""
    def register(function: Callable[..., str | None]) -> Callable[..., str | None]:
        CHECKS[name] = function
        return function
    return register


def verdict(name: str, answers: tuple) -> str:
    """A sentence about the answers to an exercise. Raises `ValueError` for an exercise that does not exist."""
    if name not in CHECKS:
        raise ValueError(f"exercise: expected one of {', '.join(CHECKS)}, got {name}")
    if any(answer is ... for answer in answers):
        return "put your answer in place of `...`, and run the cell again."
    try:
        hint = CHECKS[name](*answers)
    except NotYet:
        return "your function returns nothing yet."
    except Exception as error:  # whatever a reader's function or answer may do
        return f"not yet: {type(error).__name__}: {error}."
    return f"not yet: {hint}." if hint else "**right**."


def call(function: Callable, *arguments: object) -> object:
    """What a reader's function returns. Raises `NotYet` if that is nothing."""
    found = function(*arguments)
    if found is None or found is ...:
        raise NotYet
    return found


def near(found: object, expected: object, within: float = 0.01) -> bool:
    """Whether numbers have the expected shape and differ by at most `within` of the expected ones."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    return found.shape == expected.shape and bool(np.all(np.abs(found - expected) <= within * np.abs(expected) + 1e-12))


@exercise("1.1")
def _bytes_of_an_hour(cd, mono, coded):
    expected = [44_100 * 2 * 2 * 3600, 24_000 * 2 * 3600, 6000 / 8 * 3600]
    if near([cd, mono, coded], 8 * np.array(expected)):
        return "these are bits"
    return None if near([cd, mono, coded], expected) else "multiply rate, bits, channels and seconds, divide by 8"


@exercise("1.2")
def _appears_as(function):
    for frequency in (100, 3900, 4100, 5000, 7999, 8001, 11_000):
        found = call(function, frequency)
        if not near(found, abs((frequency + 4000) % 8000 - 4000), 1e-6):
            return f"{frequency} Hz is not heard at {found:g} Hz; which multiple of 8000 Hz is nearest to it"


@exercise("1.3")
def _apart(function):
    for n in (128, 1024, 8192):
        if not near(call(function, n), (24_000 / n, n / 24_000)):
            return f"with {n} samples, frequencies are compared that fit a whole number of times into the window"


@exercise("2.1")
def _third_kernel(kernel):
    kernel = np.asarray(kernel, float)
    if kernel.shape != (25,):
        return f"it has 25 entries, not {kernel.shape}"
    return None if near(kernel, np.convolve(np.full(13, 1 / 13), np.full(13, 1 / 13))) else "its entries add up to 1"


@exercise("2.2")
def _multiplications(first, last):
    right = near([first, last], [24_000 * 32 * 7, 75 * 512 * 128 * 7], 1e-6)
    return None if right else "outputs a second, times channels in, channels out, and the kernel"


@exercise("2.3")
def _dilated(function):
    from tinyencodec.layers.conv import Conv1d
    rng = np.random.default_rng(0)
    for k, d in (3, 1), (4, 6):
        x, w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((100, 5), (3, 5, k), 3))
        if not np.allclose(call(function, x, w, b, d), Conv1d(w, b, dilation=d).valid(x), atol=1e-4):
            return f"other values than `Conv1d` for kernel {k} and dilation {d}"


@exercise("3.1")
def _counting(outputs, left, right):
    if not near(outputs, 201, 0):
        return "the number of outputs is 1003 / 5, rounded up"
    if not near(left, 5, 0):
        return "the padding on the left is kernel - stride"
    return None if near(right, 2, 0) else "the last window begins at 200 × 5 of the padded signal"


@exercise("3.2")
def _other_kernels(three, zeros):
    if not near(three, 960, 0):
        return "with a kernel of 3, the mirror of the last layer asks for 3 frames"
    return None if near(zeros, 360, 0) else "with zeros at the end, the mirror of the stride of 8 asks for most"


@exercise("3.3")
def _mirrored_inputs(function):
    for kernel, stride in (3, 1), (7, 1), (6, 3), (16, 8):
        for t in range(5):
            right = {abs(t * stride - (kernel - stride) + j) for j in range(kernel)}
            if set(call(function, t, kernel, stride)) != right:
                return f"output {t} of kernel {kernel}, stride {stride} sees {sorted(right)}"


@exercise("4.1")
def _tones_of_two_layers(frequencies):
    right = near(sorted(frequencies), [2000, 4000, 6000, 8000], 1e-6)
    return None if right else "the rates are 2, 8 and 16 kHz; all tones are multiples of the lowest, up to 8 kHz"


@exercise("4.2")
def _repaired(function):
    rng = np.random.default_rng(1)
    for stride in (4, 8):
        kernel = rng.standard_normal(2 * stride)
        found = np.asarray(call(function, kernel.copy(), stride), float)
        sums = found.reshape(2, stride).sum(axis=0)
        if np.ptp(sums) > 1e-9:
            return "the phase sums still differ"
        old = kernel.reshape(2, stride).sum(axis=0)
        if not near(np.sum((found - kernel) ** 2), np.sum((old - old.mean()) ** 2) / 2):
            return "it works, but a smaller change would do: share it out among both weights of a phase"


@exercise("4.3")
def _three_steps(function):
    x = np.random.default_rng(2).standard_normal(20)
    expected, kernel = x, np.array([0.25, 0.75, 0.75, 0.25])
    for _ in range(3):
        spread = np.zeros(2 * len(expected) - 1)
        spread[::2] = expected
        expected = np.convolve(spread, kernel)
    found = np.asarray(call(function, x))
    return None if near(found, expected, 1e-6) else "a triangle of 4 is 1/4, 3/4, 3/4, 1/4"
