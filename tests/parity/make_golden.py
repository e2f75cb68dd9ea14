"""Write the fixtures in tests/golden, with which the plain tests check parity without torch.

    python -m tests.parity.make_golden        (from the repository's root)

Each folder is a tiny model (config.json, model.safetensors) with seeded weights, and
expected.safetensors, what the oracle named in its metadata makes of a few signals. For a signal of n
samples, and S segments with F frames in all:

    {n}.wav      float32 [C, n]         the signal
    {n}.frames   int64 [S]              frames of each segment
    {n}.scales   float32 [S]            only for models that normalise
    {n}.latents  float32 [F, D]         all segments, one after the other
    {n}.codes    int16 [K, F]           at the highest bandwidth
    {n}.audio    float32 [C, n]         decoded again
    {n}.ecdc     uint8                  the official program's file; not from transformers, which has none
"""

import itertools
from dataclasses import replace

import numpy as np
import torch
from safetensors.numpy import save_file

from tests.helpers.paths import GOLDEN
from tinyencodec.codec.config import CodecConfig

from .compare import compare_codes
from .models import SMALL, oracle_can
from .oracles import Oracle, official_ecdc
from .seeding import music

CASES = {  # name: (oracle, config, lengths)
    # As the 24 kHz model, with 2 filters, 8 latent dimensions and 2 codebooks of 1024.
    "causal": ("encodec", CodecConfig(num_filters=2, hidden_size=8, target_bandwidths=(0.75, 1.5)), (1, 321, 6_001)),
    "dilated": ("encodec", SMALL["dilated"], (1, 16, 1_003)),
    "zero_padded": ("encodec", SMALL["zero_padded"], (1, 13, 803)),
    # Segments of 3 000 samples start every 2 250: 1, 2 and 3 of them, the very last with 105 samples.
    "segments": ("encodec", replace(SMALL["segments"], num_filters=2, compress=1), (1, 3_000, 4_605)),
    "identity_skip": ("transformers", replace(SMALL["identity_skip"], num_filters=2), (1, 21, 1_333)),
    "uneven": ("transformers", SMALL["uneven"], (1, 22, 1_400)),
}
CLEAR = 1e-5  # of the latents' peak: errors of that size must not change any code of a fixture


def build(name: str) -> Oracle:
    """The oracle of a case, without weights."""
    kind, config, _ = CASES[name]
    return Oracle(kind, config, name)


def expected(reference: Oracle, wav: np.ndarray) -> dict[str, np.ndarray]:
    """All that the oracle makes of a signal, but for the prefix of the names."""
    config = reference.config
    frames, latents = reference.encode(wav, config.target_bandwidths[-1])
    result = {"wav": wav, "frames": np.array([codes.shape[1] for codes, _ in frames]),
              "latents": np.concatenate(latents),
              "codes": np.concatenate([codes for codes, _ in frames], axis=1).astype(np.int16),
              "audio": np.ascontiguousarray(reference.decode(frames)[:, :wav.shape[1]])}
    if config.normalize:
        result["scales"] = np.array([scale for _, scale in frames], np.float32)
    if reference.kind == "encodec":
        official_ecdc.MODELS[reference.name] = lambda: reference.model
        try:
            file = official_ecdc.compress(reference.model, torch.from_numpy(wav))
        finally:
            del official_ecdc.MODELS[reference.name]
        result["ecdc"] = np.frombuffer(file, np.uint8)
    return result


def clear_signal(reference: Oracle, n_samples: int) -> np.ndarray:
    """The first seeded signal none of whose codes is nearly tied, so that every machine finds the same codes."""
    config = reference.config
    for seed in itertools.count():
        wav = music(n_samples, config.audio_channels, seed, config.sampling_rate)
        found = expected(reference, wav)
        moved = found["latents"] + CLEAR * np.abs(found["latents"]).max()
        if not compare_codes(found["codes"], found["codes"], moved, found["latents"], reference.embeds()).tied:
            return wav


def main() -> None:
    for seed, (name, (kind, config, lengths)) in enumerate(CASES.items()):
        assert all(oracle_can(kind, config, n) for n in lengths)
        reference = build(name).seed(100 + seed)
        folder = reference.save(GOLDEN)
        tensors = {f"{n}.{key}": value for n in lengths
                   for key, value in expected(reference, clear_signal(reference, n)).items()}
        package = "encodec 0.1.1" if kind == "encodec" else "transformers"
        save_file(tensors, folder / "expected.safetensors", {"oracle": package})
        print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
