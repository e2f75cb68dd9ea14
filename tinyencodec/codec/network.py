"""The parts of a codec, encoder, quantiser and decoder, and what each of them accepts.

Chapter 10 of the tutorials uses it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.codec.seanet import Tensors, decoder, encoder
from tinyencodec.system.errors import check_codes, require
from tinyencodec.system.workers import processors


def as_array(values: ArrayLike, what: str) -> np.ndarray:
    """`values` as an array; `ValueError` for what NumPy cannot make one of: a tensor on a GPU, or with a gradient."""
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{what}: expected an array, got what NumPy cannot make one of: {error}") from None


class Network:
    """The three parts of an EnCodec model, made of its weights.

    Parameters
    ----------
    tensors : float32, by canonical name (see `models.tensors`). The mapping is emptied on the way, so that the
        weights are not in memory twice.

    Attributes
    ----------
    name : the folder's name, which an `.ecdc` file carries
    config : the `CodecConfig`
    folder : where it was loaded from, and where its tables and its language model are looked for; or None
    sample_rate (Hz), channels, hop_length (samples per frame), frame_rate (frames per second),
    bandwidths (kbit/s), n_codebooks, bits_per_code, segment_length and segment_stride (samples, or None),
    frames_per_segment (or None)
    encoder, quantizer, decoder : the three parts, on time-major arrays
    threads : how many may work at once, by default one per processor; results do not depend on it
    """

    def __init__(self, name: str, config: CodecConfig, tensors: Tensors, folder: Path | None = None) -> None:
        self.name = name
        self.config = config
        self.folder = folder
        self.sample_rate = config.sampling_rate
        self.channels = config.audio_channels
        self.hop_length = config.hop_length
        self.frame_rate = config.frame_rate
        self.bandwidths = config.target_bandwidths
        self.n_codebooks = config.n_codebooks
        self.bits_per_code = config.bits_per_code
        self.segment_length = config.segment_length
        self.segment_stride = config.segment_stride
        self.frames_per_segment = config.frames_per_segment
        self.encoder = encoder(config, tensors)
        self.quantizer = ResidualVectorQuantizer(
            [tensors.pop(f"quantizer.layers.{k}.codebook.embed") for k in range(self.n_codebooks)])
        self.decoder = decoder(config, tensors)
        # Whether it works on pieces smaller than a segment: neither norms nor the scale need all of it.
        self.streams = self.segment_length is None and self.encoder.streams and not config.normalize
        self.frame_bytes = 4 * config.num_filters * self.hop_length  # of the widest signal between layers
        self.threads = processors()

    @property
    def encoder_delay(self) -> int | None:
        """Samples that a streaming encoder must have seen before its first codes; None: all of them."""
        return self.encoder.needs(1) if self.streams else self.segment_length

    @property
    def decoder_delay(self) -> int | None:
        """Frames that a streaming decoder must have seen before its first sound (if `live`); None: all of them."""
        return self.decoder.needs(1) if self.streams else self.frames_per_segment

    def codebooks_for(self, bandwidth: float) -> int:
        """The number of codebooks at `bandwidth` kbit/s; `ValueError` unless it is one of `bandwidths`."""
        if bandwidth not in self.bandwidths:
            raise ValueError(f"bandwidth: model {self.name} offers {', '.join(f'{b:g}' for b in self.bandwidths)} "
                             f"kbit/s, got {bandwidth}")
        return self.config.codebooks_for(bandwidth)

    def check_audio(self, wav: np.ndarray, empty: bool = False) -> np.ndarray:
        """`wav` as float32 [C, T], or a `ValueError` that says what is wrong with it. `empty`: T may be 0."""
        wav = as_array(wav, "audio")
        if wav.ndim != 2 or wav.shape[0] != self.channels or (wav.shape[1] == 0 and not empty):
            shape = f"[{self.channels}, T]" + ("" if empty else " with T >= 1")
            raise ValueError(f"audio: model {self.name} expects shape {shape}, got {list(wav.shape)}")
        if not np.issubdtype(wav.dtype, np.floating):
            raise ValueError(f"audio: expected floating-point samples, got {wav.dtype}")
        with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite and is refused below
            wav = wav.astype(np.float32, copy=False)
        if not np.isfinite(wav).all():
            raise ValueError("audio: expected finite samples, got NaN or infinity (in float32)")
        return wav

    def check_codes(self, codes: np.ndarray) -> np.ndarray:
        """`codes` as an array, or a `ValueError` unless they are integers [K, F] that name entries."""
        return check_codes(as_array(codes, "codes"), self.n_codebooks, self.config.codebook_size)

    def check_latents(self, z: np.ndarray) -> np.ndarray:
        """`z` as float32 [D, F], F >= 1, or a `ValueError` that says what is wrong with it."""
        z = as_array(z, "latents")
        size = self.config.hidden_size
        require(z.ndim == 2 and len(z) == size and z.shape[1], "latents", f"shape [{size}, F] with F >= 1",
                list(z.shape))
        require(z.dtype.kind == "f", "latents", "floating-point numbers", z.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite and is refused below
            z = z.astype(np.float32, copy=False)
        require(np.isfinite(z).all(), "latents", "finite numbers", "NaN or infinity (in float32)")
        return z

    def check_scale(self, scale: float) -> float:
        """A segment's scale, or a `ValueError` unless it is a finite number that is not negative."""
        if not self.config.normalize or not np.isfinite(scale) or scale < 0:
            expected = "a finite number of at least 0" if self.config.normalize else "none for this model"
            raise ValueError(f"scale: expected {expected}, got {scale}")
        return float(scale)
