"""What `book.check` knows: for each exercise a function that looks at a reader's answer.

It returns nothing if the answer is right, and a hint if not. The answers themselves are in `solutions/`; here they are
computed, or tried on random numbers, so that nothing is given away.
"""

from collections.abc import Callable

import book
import numpy as np

import tinyencodec
from tinyencodec.ecdc.coders import load_coder
from tinyencodec.entropy.arithmetic import bounds, quantised_cdf
from tinyencodec.entropy.arithmetic_compiled import encode_symbols
from tinyencodec.layers.conv import Conv1d
from tinyencodec.layers.conv_transpose import ConvTranspose1d

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


@exercise("0.1")
def _an_hour(one_hour, hours):
    if near(one_hour, 1500 * 3600):
        return "that hour is in bits"
    return None if near([one_hour, hours], [675_000, 650e6 / 675_000]) else "1.5 kbit/s are 1500 bits a second"


@exercise("0.2")
def _guitar(decibels):
    import book

    import tinyencodec
    model, found = tinyencodec.load_model(), []
    for name in ("guitar", "speech"):
        wav = book.recording(name)
        found.append(book.snr(wav, model.decode(model.encode(wav, 6.0), wav.shape[1])))
    return None if near(decibels, found[0] - found[1], 0.05) else "compare each recording with its own copy"


@exercise("0.3")
def _random_codes(noise):
    noise = np.asarray(noise, float)
    if noise.shape != (1, 96_000):
        return f"expected an array of shape (1, 96000), got {noise.shape}"
    return None if noise.std() > 0.02 else "that is nearly silent"


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


@exercise("5.1")
def _size_of_a_state(least, most):
    right = near([least, most], [256, 480], 0)
    return None if right else "after an output kernel - stride moments are kept, and up to stride - 1 more may wait"


@exercise("5.2")
def _step_up(function):
    rng, s = np.random.default_rng(0), 5
    w, b, x = (rng.standard_normal(shape, dtype=np.float32) for shape in ((4, 3, 2 * s), 3, (60, 4)))
    before, outputs = np.zeros((1, 4), np.float32), []
    for piece in np.split(x, [1, 2, 2, 30]):
        y, before = call(function, piece, w, b, before)
        outputs.append(np.asarray(y).reshape(-1, 3))
    found, expected = np.concatenate(outputs), ConvTranspose1d(w, b, stride=s)(x)
    if found.shape != expected.shape:
        return f"{len(x)} inputs make {len(expected)} outputs, not {len(found)}"
    return None if np.allclose(found, expected, atol=1e-4) else "block t needs the inputs t - 1 and t"


@exercise("5.3")
def _which_half(answer):
    return None if answer == "decoder" else "look at the waveform at the seams: whose output is the sound itself"


@exercise("6.1")
def _digits(far, naive, near_zero):
    if float(far) != -1:
        return "exp(-20) is 2e-9, and float32 has seven digits"
    if float(naive) != 0:
        return "use float32: `np.exp(np.float32(-1e-8)) - np.float32(1)`"
    return None if near(near_zero, -1e-8, 1e-5) else "near zero, the ELU is x itself"


@exercise("6.2")
def _folded_by_output(function):
    rng = np.random.default_rng(0)
    g, v = rng.standard_normal((4, 1, 1)), rng.standard_normal((4, 3, 6))
    found = call(function, g, v)
    return None if near(found, g * v / np.sqrt((v**2).sum(axis=(0, 2), keepdims=True)), 1e-6) else \
        "the sum of squares runs over dimensions 0 and 2"


@exercise("6.3")
def _slopes(function):
    rng = np.random.default_rng(0)
    v, g, target = rng.standard_normal(9), 1.5, rng.standard_normal(9)
    unit = v / np.linalg.norm(v)
    of_w = 2 * (g * unit - target)
    expected = g / np.linalg.norm(v) * (of_w - (of_w @ unit) * unit)
    found = np.asarray(call(function, v.copy(), g, target), float)
    if found.shape != v.shape or abs(found @ unit) > 1e-3 * np.linalg.norm(found):
        return "they are not at right angles to v"
    return None if np.allclose(found, expected, atol=1e-3) else "at right angles, but not the slopes of L"


@exercise("7.1")
def _half_in_a_second(gate, into):
    if not near(gate, 0.5 ** (1 / 75), 1e-4):
        return "75 factors in a row make one half"
    return None if near(into, np.log(gate / (1 - gate)), 1e-3) else "turn the logistic function around: ln(f / (1 - f))"


@exercise("7.2")
def _adder(w_ih, w_hh, b_ih, b_hh):
    x, weights = 0.002 * np.random.default_rng(0).standard_normal((100, 1)), (w_ih, w_hh, b_ih, b_hh)
    y, _ = _lstm(x, [np.asarray(each, float) for each in weights], (np.zeros(1), np.zeros(1)))
    return None if np.allclose(y, np.cumsum(x, axis=0), atol=2e-4) else \
        "open all three gates for good, and let only the candidate look at the input"


@exercise("7.3")
def _lstm_pieces(function):
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape) for shape in ((12, 3), (12, 3), 12, 12)]
    x, state, made = rng.standard_normal((20, 3)), (np.zeros(3), np.zeros(3)), []
    for piece in np.split(x, [1, 1, 7]):
        y, state = call(function, piece, weights, state)
        made.append(np.asarray(y).reshape(-1, 3))
    whole, _ = _lstm(x, weights, (np.zeros(3), np.zeros(3)))
    return None if np.allclose(np.concatenate(made), whole) else "both h and c go from piece to piece"


def _lstm(x, weights, state):
    (w_ih, w_hh, b_ih, b_hh), (h, c), outputs = weights, state, []
    for now in x:
        i, f, g, o = np.split(w_ih @ now + b_ih + w_hh @ h + b_hh, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(h)
    return np.array(outputs), (h, c)


@exercise("8.1")
def _frame_of_32_khz(samples, ms, seen):
    reach, jump = 7, 1
    for stride in (4, 4, 5, 8):
        reach += 2 * jump + (2 * stride - 1) * jump
        jump *= stride
    if not near([samples, ms], [640, 20], 1e-6):
        return "the strides multiply; 32 samples are a millisecond"
    return None if near(seen, reach + 6 * jump, 0) else "each stage has a kernel of 3 and one of twice its stride"


@exercise("8.2")
def _half_of_the_filters(numbers, work):
    return None if 3.5 < numbers < 4 and 3.5 < work < 4 else "a little below four, each"


@exercise("8.3")
def _shifted(frames):
    return None if near(frames, 8, 0) else "a frame sees 2 200 samples and more; its past ends where the sound begins"


@exercise("9.1")
def _without_the_first(share):
    model = tinyencodec.load_model()
    z = model.encoder(np.ascontiguousarray(book.recording("speech").T))
    codes = model.quantizer.encode(z, 8)
    rest = sum(model.quantizer.codebooks[k][codes[k]] for k in range(1, 8))
    return None if near(share, np.sum(rest**2) / np.sum(z**2), 0.05) else "add up the entries of codebooks 2 to 8 only"


@exercise("9.2")
def _stored(function):
    for b in (2, 4, 6, 8):
        if not near(call(function, b), (2**b, 2 * b), 0):
            return f"with {b} bits there are {b // 2} codebooks of 4"


@exercise("9.3")
def _beam_search(function):
    rng = np.random.default_rng(0)
    z, codebooks = rng.standard_normal((30, 8)), rng.standard_normal((5, 16, 8)) * (0.7 ** np.arange(5))[:, None, None]
    codes = np.asarray(call(function, z, codebooks, 8))
    if codes.shape != (5, 30):
        return f"codes have the shape (5, 30), not {codes.shape}"
    found = np.sum((z - sum(codebooks[k][codes[k]] for k in range(5))) ** 2)
    if found > 0.999 * _left_by_beam(z, codebooks, 1).sum():
        return "no better than the greedy search"
    right = found <= 1.001 * _left_by_beam(z, codebooks, 8).sum()
    return None if right else "better than greedy, but a beam of 8 finds more"


def _left_by_beam(z, codebooks, width):
    """The squared error of each frame of `z` [F, D] after a beam search that keeps `width` choices."""
    left = np.asarray(z, float)[:, None]  # [F, choices, D]
    for entries in np.asarray(codebooks, float):
        errors = (np.square(left).sum(axis=2, keepdims=True) - 2 * left @ entries.T + np.square(entries).sum(axis=1))
        best = errors.reshape(len(z), -1).argsort(axis=1)[:, :width]
        row, entry = np.divmod(best, len(entries))
        left = np.take_along_axis(left, row[..., None], axis=1) - entries[entry]
    return np.square(left).sum(axis=2).min(axis=1)


@exercise("10.1")
def _upside_down(share):
    model, wav = tinyencodec.load_model(), book.recording("speech")
    expected = np.mean(model.encode(wav, 6.0)[0].codes == model.encode(-wav, 6.0)[0].codes)
    return None if abs(share - expected) < 0.005 else "a number from 0 to 1: the mean of `codes == other_codes`"


@exercise("10.2")
def _length_of_segments(ratios):
    model, wav = tinyencodec.load_model(), book.recording("guitar")
    whole = book.snr(wav, model.decode(model.encode(wav, 6.0), wav.shape[1]))
    ratios = np.asarray(ratios, float)
    if ratios.shape != (5,):
        return "five numbers, one for each length"
    return None if ratios[0] < ratios[-1] and abs(ratios[-1] - whole) < 1 else \
        f"with 2 s it should be near the {whole:.1f} dB of one piece, and with 0.1 s lower"


@exercise("10.3")
def _generations(first, tenth):
    model, wav = tinyencodec.load_model(), book.recording("guitar")
    y, ratios = wav, []
    for _ in range(10):
        y = model.decode(model.encode(y, 6.0), wav.shape[1])
        ratios.append(book.snr(wav, y))
    return None if np.allclose([first, tenth], [ratios[0], ratios[-1]], atol=0.05) else \
        "feed the decoded sound to `model.encode` again; compare each with the original"


@exercise("11.1")
def _hour_at_3(codes, more):
    if not near(codes, 1_350_000, 0.001):
        return "4 codebooks of 10 bits, 75 times a second, 3600 s, 8 bits a byte"
    return None if near(more, 9000, 0.003) else "an hour has 900 blocks of 4 s"


@exercise("11.2")
def _which_bit(bits, codebooks):
    if bits:
        return "codes are names: how alike are the entries 1 and 513"
    return None if codebooks else "which codebook moves the latent further"


@exercise("11.3")
def _shares(function):
    for seconds, p in (0.5, 1e-4), (4, 1e-6), (30, 1e-5):
        n_bytes = 10 + 750 * seconds
        if not near(call(function, seconds, p), (1 - (1 - p) ** n_bytes, 10 / n_bytes), 0.02):
            return f"a block of {seconds} s has {n_bytes:.0f} bytes; it survives with probability (1 - p)^{n_bytes:.0f}"


@exercise("12.1")
def _bent_coin(bits):
    expected = -0.9 * np.log2(0.9) - 0.1 * np.log2(0.1)
    return None if near(bits, expected) else "the cost of heads, 90 times in 100, and of tails, 10 times"


@exercise("12.2")
def _adaptive(function):
    rows = np.asarray(call(function, [2, 2, 0], 3), float)
    expected = np.array([[1, 1, 1], [1, 1, 2], [1, 1, 3]]) / np.array([[3], [4], [5]])
    return None if near(rows, expected, 1e-6) else "first there is one of each, then one more of the first symbol"


@exercise("12.3")
def _with_buffer(function):
    rng = np.random.default_rng(0)
    cdf = quantised_cdf(np.array([1 / 3] * 3, np.float32))
    for symbols in (rng.choice(3, size=300), np.array([1] * 60 + [2])):  # the second carries far
        starts, stops = bounds(np.broadcast_to(cdf, (len(symbols), 3)), symbols)
        if bytes(call(function, starts.tolist(), stops.tolist())) != encode_symbols(starts, stops):
            return "other bytes than `encode_symbols`; the first digit is the lowest bit of a byte"


@exercise("13.1")
def _hardest_codebook(easiest, last):
    model = tinyencodec.load_model()
    codes = model.encode(book.recording("speech"), 6.0)[0].codes
    means = load_coder("lm", model).costs(codes) / codes.shape[1]
    if easiest != 1 + means.argmin():
        return f"`paid.mean(axis=1)` is least for another codebook than {easiest}"
    return None if near(last, means[-1]) else "the mean of the last row of `paid`"


@exercise("13.2")
def _blocks_without_a_past(sizes):
    model = tinyencodec.load_model()
    codes, coder = model.encode(book.recording("speech"), 6.0)[0].codes, load_coder("lm", model)
    expected = [sum(map(len, coder.encode([codes[:, at:at + n] for at in range(0, codes.shape[1], n)])))
                for n in (37, 75, 150, 300)]
    return None if near(sizes, expected, 0.02) else "`coder.encode` takes a list of blocks [K, F] and gives their bytes"


@exercise("13.3")
def _sharper(function):
    scores = np.random.default_rng(0).standard_normal(12)
    for temperature in (1.0, 0.5):
        expected, given = np.exp(scores / temperature), np.exp(scores)
        found = call(function, given / given.sum(), temperature)
        if not near(found, expected / expected.sum(), 1e-6):
            return "dividing scores is a power of the probabilities; make the sum 1 again"


@exercise("14.1")
def _softer(squared, mel):
    import torch

    from tinyencodec.train import losses
    from tinyencodec.train.mel import MelScales
    torch.manual_seed(0)
    x = torch.from_numpy(book.recording("speech")[None, :, 9_600:57_600])
    spectrum, frequency = torch.fft.rfft(x), torch.fft.rfftfreq(x.shape[2], 1 / 24_000)
    spoilt = {"silence": 0 * x, "upside down": -x, "1 ms late": torch.roll(x, 24, dims=2),
              "only below 1 kHz": torch.fft.irfft(spectrum * (frequency < 1000)),
              "with hiss": x + 0.02 * torch.randn(x.shape)}
    bands = MelScales(24_000)
    measures = (lambda y: losses.relative_squared_error(x, y), lambda y: losses.mel_loss(bands(x), bands(y)))
    for name, answer, loss in zip(("squared error", "mel loss"), (squared, mel), measures):
        if set(answer) != {which for which, y in spoilt.items() if loss(y / 2) < loss(y)}:
            return f"not all of them for the {name}; compute it for `y` and `0.5 * y`"


@exercise("14.2")
def _mel_only(si_snr):
    return None if si_snr < 0 else "freed from the waveform, it falls below 0 dB"


@exercise("14.3")
def _two_semitones(faster):
    return None if near(faster, 2 ** (2 / 12), 1e-3) else "twelve semitones are a factor of two"


@exercise("15.1")
def _two_choices(share):
    model = tinyencodec.load_model()
    z = np.ascontiguousarray(model.latents(book.recording("speech")).T)
    greedy, two, eight = (np.sum(np.square(z - model.quantizer.decode(model.quantizer.encode(z, 8, width))))
                          for width in (1, 2, 8))
    return None if near(share, (greedy - two) / (greedy - eight)) else \
        "what two choices take off the greedy error, as a share (0 to 1) of what eight take off"


@exercise("15.2")
def _beam_that_loses(frame):
    model = tinyencodec.load_model()
    z = model.latents(book.recording("speech")).T
    if frame not in range(len(z)):
        return f"a whole number from 0 to {len(z) - 1}"
    one, two = (_left_by_beam(z[frame:frame + 1], model.quantizer.codebooks[:8], width) for width in (1, 2))
    return None if two > one else f"in frame {frame} two choices leave {two[0]:.3f} and one leaves {one[0]:.3f}"


@exercise("15.3")
def _histories(function):
    rng = np.random.default_rng(0)
    for _ in range(5):
        errors, bits = rng.random((6, 4)), 2 * rng.random((4, 4))
        codes = np.asarray(call(function, errors.copy(), bits.copy()))
        if codes.shape != (6,):
            return f"codes have the shape (6,), not {codes.shape}"
        paths = np.indices((4,) * 6).reshape(6, -1)  # all there are
        sums = errors[np.arange(6)[:, None], paths].sum(axis=0) + bits[paths[:-1], paths[1:]].sum(axis=0)
        found = errors[np.arange(6), codes].sum() + bits[codes[:-1], codes[1:]].sum()
        if found > sums.min() + 1e-9:
            return "another path costs less: keep, for each last code, the cheapest path that ends in it"
