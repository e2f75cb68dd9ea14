"""Each layer alone, in forward order, fed with what the oracle feeds to its own layer.

Errors do not add up that way, so the tolerance is that of one layer (`layer_tolerance`), and the
first failure names the layer that is wrong.
"""

import numpy as np
import pytest

from .compare import layer_tolerance, peak_error
from .models import PAIRS, oracle, ours
from .report import LINES
from .seeding import music


def _signals(config) -> list[np.ndarray]:
    """About a second, and inputs shorter than the padding of most layers.

    A group norm over a single sample may subtract nearly all there is, and so magnify the roundings
    before it: for such models the shortest input is longer here (test_model.py has the others).
    """
    shortest = 1 if config.norm_type == "weight_norm" else 16
    about_a_second = min(config.sampling_rate + 123, config.segment_length or 1 << 30)
    lengths = [shortest, shortest + 1, 3 * config.hop_length // 2, about_a_second]
    return [music(n, config.audio_channels, seed=n, rate=config.sampling_rate) for n in lengths]


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_each_layer(kind, name, part):
    reference, layers = oracle(kind, name), getattr(ours(kind, name), part).layers
    assert len(layers) == len(reference.layers[part])
    worst, worst_at = 0.0, ""
    for wav in _signals(reference.config):
        wav = reference.normalised(wav)
        x = np.ascontiguousarray(wav.T) if part == "encoder" else reference.latents(wav)
        for index, module, before, after in reference.layer_signals(part, x):
            given = before.copy()
            y = layers[index](given)
            where = f"{part} layer {index} ({type(module).__name__}), {wav.shape[1]} samples"
            assert np.array_equal(given, before), f"{where}: changed its input"
            error, tolerance = peak_error(y, after), layer_tolerance(module)
            assert error <= tolerance, f"{where}: error {error:.2e} of the peak, tolerance {tolerance:.2e}"
            worst, worst_at = max((worst, worst_at), (error / tolerance, f"layer {index}, {error:.1e} of the peak"))
    LINES.append(f"{kind:12s} {name:13s} {part}: nearest to its tolerance is {worst_at} ({worst:.0%} of it)")
