"""The folder of graphs that `tinyencodec export` writes."""

import os
from pathlib import Path

from tinyencodec.codec.model import EncodecModel
from tinyencodec.models.listing import origin_of
from tinyencodec.models.weight_files import find_weights
from tinyencodec.system.files import is_in_use, new_folder, sha256_of
from tinyencodec.system.version import __version__
from tinyencodec.tools.export.codec import decoder_graph, encoder_graph, streams


def export(model: EncodecModel, dest: str | os.PathLike, half: bool = False) -> dict[str, int]:
    """Write `encoder.onnx` and `decoder.onnx`; for a causal model also `encoder_stream.onnx` and `decoder_stream.onnx`.

    dest : a folder that does not exist yet, or is empty. It appears complete or not at all.
    half : store weights as float16

    Returns the files' sizes by name. Raises `ValueError` if `dest` is in use, or the weights are too large for float16,
    and `OSError` if it cannot be written.
    """
    dest = Path(os.path.abspath(dest))
    if is_in_use(dest):
        raise ValueError(f"{dest}: expected a new or an empty folder to write to, got one in use")
    origin = {"tinyencodec": __version__, "weights": "float16" if half else "float32"}
    if model.folder is not None:
        origin |= {"licence": origin_of(model.folder)[1], "weights_sha256": sha256_of(find_weights(model.folder))}
    sizes = {}
    with new_folder(dest) as folder:
        for streaming in (False, True) if streams(model) else (False,):
            for name, make in ("encoder", encoder_graph), ("decoder", decoder_graph):
                file = f"{name}_stream.onnx" if streaming else f"{name}.onnx"
                data = make(model, half, streaming, origin).SerializeToString()
                (folder / file).write_bytes(data)
                sizes[file] = len(data)
    return sizes
