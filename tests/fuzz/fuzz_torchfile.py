"""PyTorch files: the zip archive, its pickle, its storages, and what `convert` makes of the tensors."""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from driver import mutate

from tests.helpers import torch_writer
from tinyencodec.codec.config import ENCODEC_24KHZ
from tinyencodec.models.state_dict import find_state_dicts, left_out
from tinyencodec.models.tensors import Selection, checked_tensors, misfits
from tinyencodec.models.torchfile import read_torch_file

PATH = Path(tempfile.mkdtemp()) / "input.th"
# Opcodes and names that hostile pickles are made of.
WORDS = (b"cos\nsystem\n", b"cposix\nsystem\n", b"cbuiltins\neval\n", b"X\x02\x00\x00\x00id", b"\x85R", b"tR",
         b"\x93", b"Q",
         b"c__main__\nx\n", b"\x80\x05", b"\x95\xff\xff\xff\xff\x00\x00\x00\x00", b"(", b")", b"]", b"}", b"b", b"s",
         b"u",
         b"e", b"a", b"0", b"1", b"2", b"q\x00", b"h\x00", b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f", b"\x94", b"t",
         b"\x87",
         b"J\xff\xff\xff\xff", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", b"i", b"\x81",
         b"\x92",
         b"B\x00\x00\x00\x01", b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
         b"G\x7f\xf0" + bytes(6))


def corpus():
    rng = np.random.default_rng(0)
    weights = {"encoder.model.0.conv.conv.bias": rng.standard_normal(4).astype("f4"),
               "encoder.model.0.conv.conv.weight_v": rng.standard_normal((4, 1, 7)).astype("f2"),
               "quantizer.vq.layers.0._codebook.embed": rng.standard_normal((16, 8)).astype("f8"),
               "quantizer.vq.layers.0._codebook.inited": np.float32([1])}
    files = []
    for value in (weights,
                  {"best_state": weights, "epoch": 3, "loss": 0.5, "shape": (1, (2, 3)), "flags": [True, None]},
                  [weights["encoder.model.0.conv.conv.bias"], {"a": {7: "x"}}]):
        files.append(torch_writer.torch_file(PATH, value).read_bytes())
    shared = torch_writer.storage("0", 6, "BFloat16Storage")
    program = b"](" + torch_writer.tensor(shared, 1, (2, 2), (2, 1)) + torch_writer.tensor(shared, 0, (6,), (1,)) + b"e"
    files.append(torch_writer.torch_zip(PATH, program, {"data/0": bytes(range(12))}).read_bytes())
    return files


def mutated(random, files):
    """Half of the inputs are damaged anywhere, half in one member of the archive, whose checksum then holds again."""
    data = random.choice(files)
    if random.random() < 0.3:
        return mutate(random, data, files, WORDS)
    out, method = io.BytesIO(), zipfile.ZIP_DEFLATED if random.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", method) as archive:
        names = source.namelist()
        chosen = names[0] if random.random() < 0.8 else random.choice(names)
        for name in names:
            content = source.read(name)
            content = mutate(random, content, [content], WORDS) if name == chosen else content
            archive.writestr(name if random.random() < 0.98 else random.choice(("../../x", "/etc/x", "a" * 300)),
            content)
    return out.getvalue()


def read(data, random):
    PATH.write_bytes(data)
    value = read_torch_file(PATH)
    for state in find_state_dicts(value):
        misfits(ENCODEC_24KHZ, state)
        left_out(value, state)
        checked_tensors(Selection(ENCODEC_24KHZ, "it", state, []), [PATH])
    return "read"
