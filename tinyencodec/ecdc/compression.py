"""Sound to bytes and back: the model and the `.ecdc` container tied together.

    compress, decompress                 a whole signal, the bytes of a whole file
    compress_stream, decompress_stream   block by block, from any sound to any file object; from a pipe to a pipe too

A sound in blocks is whatever yields arrays [C, n]: an `AudioReader`, a `DecodedSound`, or a generator of
your own. The second pair keeps no more than a block, and writes the same bytes and samples as the first.
"""

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from tinyencodec.codec.model import EncodecModel
from tinyencodec.ecdc.block_io import AT_ONCE
from tinyencodec.ecdc.block_layout import frames_per_block
from tinyencodec.ecdc.coders import CodesCoder, load_coder
from tinyencodec.ecdc.container import EcdcReader, EcdcWriter
from tinyencodec.ecdc.header import KEEP_GOING, EcdcHeader, payload_size, read_header
from tinyencodec.entropy.rate import WEIGHT, RateSearch, check_weight
from tinyencodec.models.store import load_model
from tinyencodec.system.errors import require
from tinyencodec.system.progress import Progress

_SECONDS = 10  # decoded at once, from a file: enough that threads have work


def compress(model: EncodecModel, wav: np.ndarray, bandwidth: float = 6.0, entropy: str | CodesCoder = "none",
             block: float | None = None, protect: bool = False, *, search: int = 1,
             rate_weight: float | None = None) -> bytes:
    """Encode a signal into the bytes of an `.ecdc` file.

    Parameters
    ----------
    wav : float [C, T] at the model's sample rate and channel count, T >= 1
    bandwidth : kbit/s, one of `model.bandwidths`
    entropy : "none"; "table" or "lm" for a smaller file, if the model has tables or a language model; or a coder
        that `ecdc.coders.load_coder` has made. All but "none" imply `protect`
    block : seconds that are coded, and lost, together; None: 4. A model with segments rounds it to whole ones
    protect : with checksums (a file of version 1, see `block_layout`), which the official program does not read
    search : as in `EncodecModel.encode`
    rate_weight : with entropy coding: how much bits count beside error, from 0, when codes are searched
        (`entropy.rate`). More makes smaller files of a worse sound. None: 0 for the greedy search; else so much that
        the sound, at 6 kbit/s, is about as good as with that

    Raises
    ------
    ValueError : as `EncodecModel.encode`; no tables or language model; a block of which none can be; a rate weight
        that is negative, or without entropy coding.
    """
    wav, out = model.check_audio(wav), io.BytesIO()
    compress_stream(model, [wav], out, bandwidth, wav.shape[1], entropy=entropy, block=block, protect=protect,
                    search=search, rate_weight=rate_weight)
    return out.getvalue()


def decompress(data: bytes, model: EncodecModel | None = None, keep_going: str | None = None, *,
               coder: CodesCoder | None = None) -> tuple[np.ndarray, int]:
    """Decode the bytes of an `.ecdc` file.

    Parameters
    ----------
    data : a whole file
    model : the model that made it; None: load the one that the header names
    keep_going : what to do about damaged or missing blocks in a file of version 1. None: raise. "repeat": their
        frames repeat the last one before; "silence": the same, and then zeros for their samples
    coder : for an entropy-coded file, what `ecdc.coders.load_coder` has made before; None: load it

    Returns
    -------
    wav : float32 [C, T], with exactly as many samples as were encoded
    sample_rate : Hz

    Raises
    ------
    ValueError : not an `.ecdc` file, an unknown model, contents that do not fit the model; a damaged block, which
        is named; another language model or tables than the file was coded with.
    EOFError : the data end early.
    """
    sound = decompress_stream(io.BytesIO(data), model, keep_going, coder=coder)
    return np.concatenate(list(sound), axis=1), sound.sample_rate


def compress_stream(model: EncodecModel, blocks: Iterable[np.ndarray], fo: BinaryIO, bandwidth: float = 6.0,
                    length: int | None = None, *, entropy: str | CodesCoder = "none", block: float | None = None,
                    protect: bool = False, search: int = 1, rate_weight: float | None = None,
                    progress: Progress | None = None) -> int:
    """Encode a sound that comes in blocks into an `.ecdc` file, each piece as soon as it is certain.

    Parameters
    ----------
    blocks : float [C, n] each (n may be 0), at the model's sample rate and channel count
    fo : binary file object. Nothing is written before the first block has come.
    bandwidth : kbit/s, one of `model.bandwidths`
    length : samples in all, if known; then the file is that of `compress`. None: if `fo` can seek, the file
        is the same but for spaces in its header; if not, or if it is in blocks, it has the streamed form.
    entropy, block, protect, search, rate_weight : as in `compress`. A block goes out when it is complete; into a file
        that can seek, up to 16 together

    Returns
    -------
    the number of samples

    Raises
    ------
    ValueError : as `EncodecModel.encode`; more samples than `length`, or fewer if `fo` cannot seek.
    """
    encoder, total = model.streaming_encoder(bandwidth, search), 0
    writer, coder, frames, by_rate = None, None, None, None
    if protect or entropy != "none":
        coder = load_coder(entropy, model) if isinstance(entropy, str) else entropy
        frames = frames_per_block(model.config, encoder.n_codebooks, block)
    if coder is not None and coder.kind != "none":
        weight = (0 if search == 1 else WEIGHT) if rate_weight is None else check_weight(rate_weight)
        if weight:
            by_rate = RateSearch(model.quantizer, encoder.n_codebooks, search, weight)
            encoder = model.unquantized().streaming_encoder(bandwidth)
    else:
        require(rate_weight is None, "rate weight", "None without entropy coding", rate_weight)
    require(block is None or coder is not None, "block", "None unless with entropy coding or protect", block)

    def write(writer: EcdcWriter, wav: np.ndarray, last: bool = False) -> None:
        done = total
        for codes, scale in encoder.frames(wav, last):
            writer.write(codes, scale)
            if progress is not None:
                done = min(done + (model.segment_stride or model.hop_length * codes.shape[1]), total + wav.shape[1])
                progress(done, length)

    for wav in blocks:
        wav = model.check_audio(wav, empty=True)
        if length is not None:
            require(total + wav.shape[1] <= length, "audio", f"{length} samples as announced", "more")
        if wav.shape[1]:
            if writer is None:
                writer = EcdcWriter(fo, model.name, model.config, encoder.n_codebooks, length, coder, frames, by_rate)
            write(writer, wav)
            total += wav.shape[1]
    if writer is None:
        raise ValueError("audio: expected at least one sample, got 'none'")
    write(writer, np.zeros((model.channels, 0), np.float32), last=True)
    writer.finish(total)
    return total


def decompress_stream(fo: BinaryIO, model: EncodecModel | None = None, keep_going: str | None = None, *,
                      header: EcdcHeader | None = None, coder: CodesCoder | None = None,
                      progress: Progress | None = None) -> "DecodedSound":
    """Read the header of an `.ecdc` file; the result then decodes the rest, block by block, as it is iterated.

    Parameters
    ----------
    fo : binary file object, at the header. Of one that cannot seek, no byte is read before it is needed, and
        each packet, or second of sound, is decoded when it has come.
    model : the model that made the file; None: load the one that the header names
    keep_going, coder : as in `decompress`; what was lost stands in the result
    header : if it has been read already

    Raises
    ------
    ValueError, EOFError : as `decompress`; while iterating, after the blocks before the damage.
    """
    header = read_header(fo) if header is None else header
    model = load_model(header.model) if model is None else model
    require(header.model == model.name, "model", repr(model.name), header.model)
    require(keep_going in (None, *KEEP_GOING), "keep-going", " or ".join(KEEP_GOING), keep_going)
    if coder is None and header.coder_kind != "none":
        coder = load_coder(header.coder_kind, model)
    piped = not fo.seekable()
    block_frames = max(1, round(model.frame_rate * (1 if piped else _SECONDS)))
    reader = EcdcReader(fo, header, model.config, block_frames, coder, keep_going, 1 if piped else AT_ONCE)
    if not (piped or header.stream or header.block):  # told before the work rather than after
        start = fo.tell()
        size, expected = fo.seek(0, io.SEEK_END) - start, payload_size(model.config, header)
        fo.seek(start)
        if size < expected:
            raise EOFError(f"file ends early: expected {expected} bytes after the header, got {size}")
    return DecodedSound(model, reader, 1 if piped else block_frames, progress, mute=keep_going == "silence")


class DecodedSound:
    """Iterate, once, over blocks float32 [C, n] (n >= 1) of a decoded file.

    Attributes
    ----------
    model : that decodes
    sample_rate (Hz), channels : of the blocks
    length : samples in all, exactly; None until the end of a file in streamed form
    lost : (start, end) in seconds of each span so far that was lost, and made up for
    cut : whether the end is missing from a file in streamed form, and `length` is what is there
    """

    def __init__(self, model: EncodecModel, reader: EcdcReader, at_once: int, progress: Progress | None,
                 mute: bool = False) -> None:
        self.model, self.sample_rate, self.channels = model, model.sample_rate, model.channels
        self.length = reader.audio_length
        self._reader, self._at_once, self._progress, self._mute = reader, at_once, progress, mute

    @property
    def lost(self) -> list[tuple[float, float]]:
        spans = [] if self._reader.blocks is None else self._reader.blocks.lost
        return [(start / self.sample_rate, end / self.sample_rate) for start, end in spans]

    @property
    def cut(self) -> bool:
        return self._reader.blocks is not None and self._reader.blocks.cut

    def __iter__(self) -> Iterator[np.ndarray]:
        decoder, done = self.model.streaming_decoder(self.length), 0
        for codes, scales in self._gathered():
            wav = self._muted(decoder.push(codes, scales), done)
            done += wav.shape[1]
            if self._progress is not None:
                self._progress(done, self.length)
            if wav.shape[1]:
                yield wav
        self.length = self._reader.audio_length
        wav = self._muted(decoder.flush(self.length), done)
        if wav.shape[1]:
            yield wav

    def _muted(self, wav: np.ndarray, at: int) -> np.ndarray:
        """Zeros where [C, t] that begin at sample `at` were lost, if that is wanted."""
        for start, end in self._reader.blocks.lost if self._mute and self._reader.blocks else ():
            wav[:, max(0, start - at):max(0, end - at)] = 0
        return wav

    def _gathered(self) -> Iterator[tuple[np.ndarray, list[float]]]:
        """Codes [K, f] of at least `at_once` frames, except at the end, and the scales that come with them."""
        parts, scales, frames, begun = [], [], 0, False
        for codes, scale in self._reader:
            parts.append(codes)
            frames += codes.shape[1]
            if scale is not None and not (begun and self.model.segment_length is None):
                scales.append(scale)
            begun = True
            if frames >= self._at_once:
                yield np.concatenate(parts, axis=1), scales
                parts, scales, frames = [], [], 0
        if parts:
            yield np.concatenate(parts, axis=1), scales
