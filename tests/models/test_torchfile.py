"""The reader of PyTorch files: what it reads, and that a hostile file can only fail."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import os
import pathlib
import pickle
import random
import struct
import tracemalloc
import uuid
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import torch_writer as make
from tinyencodec.models import plainpickle, torchfile
from tinyencodec.models.torchfile import read_torch_file

# The helper beside this file is no module on the path.

FLOATS = np.arange(24, dtype="f4")


def write(path, program, members=None, **options):
    members = {"data/0": FLOATS.tobytes()} if members is None else members
    return make.torch_zip(path / "file.th", program, members, **options)


def refused(path, match):
    """The message of the one `ValueError`, which names the file."""
    with pytest.raises(ValueError, match=match) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and len(message) < 1000 and "\n" not in message
    return message


# ---- what it reads

def test_reads_nested_values(tmp_path):
    weight = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("f4")
    wrote = {"best_state": {"a.weight": weight, "b": np.float32([1.5])}, "epoch": 3, "loss": 0.25, "name": "é",
             "flags": [True, False, None], "shape": (1, (2,)), 7: {"step": -5}, "big": 2**40}
    read = read_torch_file(make.torch_file(tmp_path / "x.th", wrote))
    np.testing.assert_array_equal(read["best_state"].pop("a.weight"), wrote["best_state"].pop("a.weight"))
    assert read["best_state"].pop("b") == wrote["best_state"].pop("b")
    assert read == wrote


@pytest.mark.parametrize("dtype", make.STORAGES)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (3, 0, 2)])
def test_reads_each_type_and_shape(tmp_path, dtype, shape):
    wrote = np.asarray(np.random.default_rng(1).normal(size=shape) * 50).astype(dtype)
    read = read_torch_file(make.torch_file(tmp_path / "x.th", wrote))
    assert read.dtype == wrote.dtype and read.shape == shape and not read.flags.writeable
    np.testing.assert_array_equal(read, wrote)


def test_bfloat16_becomes_float32(tmp_path):
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], "<u2")
    program = make.tensor(make.storage("0", 4, "BFloat16Storage"), 0, (4,), (1,))
    read = read_torch_file(write(tmp_path, program, {"data/0": bits.tobytes()}))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.float32([1, -2, np.inf, 2.0**-133]))


def test_big_endian(tmp_path):
    program = make.tensor(make.storage("0", 24), 0, (24,), (1,))
    read = read_torch_file(write(tmp_path, program, {"data/0": FLOATS.astype(">f4").tobytes()}, byteorder="big"))
    np.testing.assert_array_equal(read, FLOATS)


def test_views_of_one_storage(tmp_path):
    shared = make.storage("0", 24)
    program = b"](" + make.tensor(shared, 2, (3, 4), (1, 5)) + make.tensor(shared, 23, (1, 1), (999, 7)) \
        + b"ctorch._utils\n_rebuild_parameter\n(" + make.tensor(shared, 0, (24,), (1,)) + b"\x88" \
        + make.ORDERED_DICT + b"tR" + b"e"
    strided, last, parameter = read_torch_file(write(tmp_path, program))
    np.testing.assert_array_equal(strided, [[2, 7, 12, 17], [3, 8, 13, 18], [4, 9, 14, 19]])
    np.testing.assert_array_equal(last, [[23]])
    np.testing.assert_array_equal(parameter, FLOATS)
    assert np.shares_memory(strided, parameter)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_of_every_protocol(tmp_path, protocol):
    shared = ["text", 1]
    wrote = {"a": [1, 300, 70_000, -1, 2**40, 0.5, None, True], "b": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
             "c": shared, "d": {"e": shared}}
    program = pickle.dumps(wrote, protocol).removesuffix(b".")[2:]
    assert read_torch_file(write(tmp_path, program)) == wrote


class Weekday(enum.Enum):
    SUNDAY = 1


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, [2]


class Words(list):
    """A list of a class of its own."""


@dataclasses.dataclass
class Settings:
    rate: int = 3
    parent: object = None


def in_a_circle():
    """An object that contains itself, by a tuple that does."""
    made = Settings()
    made.parent = (made, (made,))
    return made


# Without a class there is no making any of them; pickle writes each in the way of its kind.
OBJECTS = {
    "NumPy scalar": np.float64(0.5), "NumPy integer": np.int64(3), "NumPy array": np.arange(9.0),
    "dtype": np.dtype("f4"),
    "NumPy generator": np.random.default_rng(0), "Namespace": argparse.Namespace(lr=3e-4, names=["a"]),
    "dataclass": Settings(), "circle": in_a_circle(), "OrderedDict": collections.OrderedDict(b=1, a=2),
    "defaultdict": collections.defaultdict(list, a=[1]), "Counter": collections.Counter("abca"),
    "deque": collections.deque([1, 2], 5), "datetime": datetime.datetime(2026, 1, 2, 3), "zone": datetime.timezone.utc,
    "enum": Weekday.SUNDAY, "path": pathlib.PurePosixPath("/a/b"), "Path": Path("a"),
    "set": {1, 2}, "frozenset": frozenset("ab"),
    "bytes": b"abc", "long bytes": bytes(300), "bytearray": bytearray(b"abc"), "complex": 1j, "huge": 2**200,
    "huger": -2**3000,
    "range": range(3), "slice": slice(1, 2), "Decimal": decimal.Decimal("1.5"), "Fraction": fractions.Fraction(1, 3),
    "UUID": uuid.UUID(int=3), "partial": functools.partial(int, "3"), "function": os.path.join, "class": dict,
    "slots": Slotted(), "list of a class": Words([1, 2]), "error": ValueError("x"), "text": "x" * 300,
    "None in dict": {None: 1},
    "odd keys": {(1, 2): 3, 0.5: 4, True: 5, b"a": 6, Weekday.SUNDAY: 7, frozenset([1]): 8},
    "generator's state": np.random.default_rng(0).bit_generator.state, "random state": random.Random(0).getstate(),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_beside_the_weights(tmp_path, name, protocol):
    """They stand for themselves: nothing is made, nothing imported, and the tensors after them are right."""
    program = pickle.dumps(OBJECTS[name], protocol)[2:-1]
    weights = make.text("w") + make.tensor(make.storage("0", 24), 0, (4, 6), (6, 1))
    around = b"}(" + make.text("a") + program + make.text("b") + b"](" + program + b"e" + weights + b"u"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.__import__", None)
        read = plainpickle.load(b"\x80" + bytes([protocol]) + around + b".", torchfile._NAMES, torchfile._call,
                                lambda label: FLOATS)
    np.testing.assert_array_equal(read["w"], FLOATS.reshape(4, 6))
    assert read.keys() == {"a", "b", "w"} and len(read["b"]) == 1
    assert read_torch_file(write(tmp_path, around)).keys() == read.keys()


def test_subclasses_of_tensors_are_tensors(tmp_path):
    tensor = make.tensor(make.storage("0", 24), 0, (24,), (1,))
    arguments = tensor.removeprefix(b"ctorch._utils\n_rebuild_tensor_v2\n").removesuffix(b"R")
    state = b"}" + make.text("note") + b"cdatetime\ndate\n)Rs"
    subclass = b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\ncsome\nTensor\n" \
        + arguments + state + b"tR"
    parameter = b"ctorch._utils\n_rebuild_parameter_with_state\n(" + subclass + b"\x88" + make.ORDERED_DICT + state \
        + b"tR"
    for program in (subclass, parameter):
        np.testing.assert_array_equal(read_torch_file(write(tmp_path, program)), FLOATS)


@pytest.mark.parametrize("kind", ["ComplexFloatStorage", "Float8_e4m3fnStorage", "UntypedStorage"])
def test_tensors_that_numpy_lacks_are_placeholders(tmp_path, kind):
    odd = make.tensor(make.storage("1", 24, kind), 0, (24,), (1,))
    weights = make.tensor(make.storage("0", 24), 0, (24,), (1,))
    program = b"}(" + make.text("odd") + odd + make.text("w") + weights + b"u"
    read = read_torch_file(write(tmp_path, program))
    assert read["odd"] == {} and read["odd"].name == f"torch {kind}"
    np.testing.assert_array_equal(read["w"], FLOATS)


# ---- files that are broken or something else

def test_other_files(tmp_path):
    path = tmp_path / "x.th"
    for data, match in [(b"", "starts with b''"), (b"RIFF" + bytes(100), "PyTorch zip"), (bytes(5000), "PyTorch zip"),
                        (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "before PyTorch 1.6"),
                        (b"PK\3\4" + bytes(100), "damaged")]:
        path.write_bytes(data)
        refused(path, match)
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "none.th")
    with pytest.raises(OSError):
        read_torch_file(tmp_path)


def test_every_truncation(tmp_path):
    whole = make.torch_file(tmp_path / "x.th", {"a": FLOATS}).read_bytes()
    path = tmp_path / "cut.th"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        refused(path, "expected")


def test_wrong_zip_files(tmp_path):
    program = make.tensor(make.storage("0", 24), 0, (24,), (1,))
    refused(write(tmp_path, program, compression=zipfile.ZIP_DEFLATED), "uncompressed")
    refused(write(tmp_path, program, {}), "none of that name")
    refused(write(tmp_path, program, {"data/0": bytes(95)}), "24 x 4 bytes, got 95")
    refused(write(tmp_path, program, byteorder="middle"), "little or big")
    refused(write(tmp_path, program, byteorder="little" * 9), "at most 16 bytes")
    refused(write(tmp_path, program, root="a/b"), "one data.pkl")
    path = write(tmp_path, program)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", b"N.")
    refused(path, "one data.pkl in the zip file, got 2")
    path = write(tmp_path, program)
    path.write_bytes(path.read_bytes().replace(FLOATS.tobytes(), FLOATS[::-1].tobytes()))
    refused(path, "CRC")
    path = write(tmp_path, program)
    data = bytearray(path.read_bytes())
    entry = data.find(b"PK\1\2")
    data[entry + 8] |= 1  # the flag of an encrypted member
    path.write_bytes(data)
    refused(path, "flags 0x1")


@given(data=st.data())
def test_mutated_files_raise_nothing_else(tmp_path_factory, data):
    """Whatever the bytes: a value, or one `ValueError`."""
    path = tmp_path_factory.getbasetemp() / "mutated.th"
    whole = bytearray(make.torch_file(path, {"a": FLOATS.reshape(4, 6), "b": [1, (2.5, "x")]}).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at:at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(whole)
    try:
        read_torch_file(path)
    except ValueError as error:
        assert str(error).startswith(str(path))


@given(program=st.binary(max_size=60),
       mutated=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=5))
def test_random_pickles_raise_nothing_else(tmp_path_factory, program, mutated):
    path = tmp_path_factory.getbasetemp() / "program.th"
    valid = bytearray(make.value({"a": FLOATS.reshape(4, 6), "b": [1, (2.5, "x")]}, {}))
    for at, byte in mutated:
        valid[at % len(valid)] = byte
    for opcodes in (program, bytes(valid), program + bytes(valid), bytes(valid[:-3]) + program):
        make.torch_zip(path, opcodes, {"data/0": FLOATS.tobytes()})
        try:
            read_torch_file(path)
        except ValueError as error:
            assert str(error).startswith(str(path))


# ---- tensors that claim more than there is

@pytest.mark.parametrize("offset, sizes, strides", [
    (0, (25,), (1,)), (1, (24,), (1,)), (0, (4, 6), (7, 1)), (24, (1,), (1,)), (25, (0,), (1,)),
    (0, (2**40,), (0,)), (0, (5, 5), (0, 0)), (0, (2**62, 2**62), (0, 0)), (0, (2, 2), (2**62, 2**62)),
    (-1, (1,), (1,)), (0, (-1,), (1,)), (0, (2,), (-1,)), (0, (2,), ()), (0, (1,) * 9, (1,) * 9),
    (0, (0, 2**62), (1, 1)), (0, (2**62, 2**62, 0), (1, 1, 1)), (0, (True,), (1,)), (0, (1.0,), (1,)),
    ("0", (1,), (1,)), (0, 1, 1), (None, (), ())])
def test_tensor_outside_its_storage(tmp_path, offset, sizes, strides):
    path = write(tmp_path, make.tensor(make.storage("0", 24), offset, sizes, strides))
    try:
        read = read_torch_file(path)
    except ValueError as error:
        assert str(error).startswith(str(path))
    else:
        assert read.size == 0 and read.nbytes == 0  # an empty one of odd sizes is harmless


@pytest.mark.parametrize("label", [
    "storage", ("storage",), (), None, [1], ("module", 1, "0", "cpu", 24), ("storage", "FloatStorage", "0", "cpu", 24)])
def test_persistent_id_of_another_form(tmp_path, label):
    refused(write(tmp_path, make.value(label) + b"Q"), "storage's label")


def test_storage_labels(tmp_path):
    for kind, length, match in [("FloatStorage", 12, "12 x 4"), ("DoubleStorage", 24, "24 x 8"),
                                ("FloatStorage", 2**62, "x 4 bytes, got 96"), ("FloatStorage", -24, "-24 x 4")]:
        refused(write(tmp_path, make.storage("0", length, kind)), match)
    refused(write(tmp_path, make.storage("../../etc/passwd", 24)), "none of that name")
    no_type = make.storage("0", 24).replace(b"ctorch\nFloatStorage", b"ccollections\nOrderedDict")
    refused(write(tmp_path, no_type), "storage's label")


def peak(path, match) -> int:
    tracemalloc.start()
    try:
        refused(path, match)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("program, match", [
    (make.tensor(make.storage("0", 24), 0, (2**40,), (0,)), "inside its storage"),
    (make.storage("0", 2**40), "bytes, got 96"),
    (b"Nr\xff\xff\xff\x7f", None),  # memo index 2**31 - 1
    (b"X\xff\xff\xff\x7f", "damaged"), (b"X\xff\xff\xff\xff", "damaged"),  # text of gigabytes
    (b"\x8d" + struct.pack("<Q", 2**40), "damaged"), (b"\x8b\xff\xff\xff\x7f", "damaged"),  # text, an integer
    (b"\x96" + struct.pack("<Q", 2**62), "damaged"), (b"\x95" + struct.pack("<Q", 2**62), None),  # bytearray, frame
    (b"\x8a\xff" + b"\x7f" * 255, "64 bits"),
])
def test_claims_allocate_nothing(tmp_path, program, match):
    path = write(tmp_path, program)
    if match is None:
        path = write(tmp_path, program + b"NN")
    assert peak(path, match or "one value at its end") < 300_000


def repeat_last_entry(path: Path, times: int) -> None:
    """Let the last member be listed more than once in the zip file's directory."""
    data = path.read_bytes()
    start, last, end = data.find(b"PK\1\2"), data.rfind(b"PK\1\2"), data.find(b"PK\5\6")
    directory = data[start:last] + data[last:end] * times
    count = (times + 2) & 0xFFFF
    path.write_bytes(data[:start] + directory
                     + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0))


def test_one_member_listed_often(tmp_path):
    path = write(tmp_path, b"N", {"data/0": bytes(10_000)})
    repeat_last_entry(path, 1)
    assert read_torch_file(path) is None
    repeat_last_entry(path, 200)
    assert peak(path, "together") < 1_000_000


def test_long_headers(tmp_path):
    """Bytes of the directory and of the pickle cost more memory than their length, so their number is limited."""
    path = write(tmp_path, b"N")
    repeat_last_entry(path, 500_000)
    assert peak(path, "zip directory") < 1_000_000
    assert peak(write(tmp_path, b"}" * 2_000_000), "at most 1048576 bytes") < 1_000_000
    assert peak(write(tmp_path, b"}" * 1_000_000), "opcodes") < 20_000_000


def test_a_name_that_is_not_repeated_in_full(tmp_path):
    """Before each member its name stands once more, there 2000 letters long: the message quotes no more than some."""
    path = write(tmp_path, b"N" + bytes(4000))
    data = bytearray(path.read_bytes())
    data[26:28] = (2000).to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(ValueError, match="whole bytes, got File name in directory") as caught:
        read_torch_file(path)
    assert len(str(caught.value)) < 600 and str(caught.value).isprintable()


# ---- hostile programs

def exponential() -> bytes:
    """A tuple of two of a tuple of two ... 60 deep: short, but endless to print or to hash."""
    return b"Nq\x00" + b"h\x00\x86q\x00" * 60


def hostile(command: str) -> dict[str, bytes]:
    call = make.text(command) + b"\x85"
    system = b"cos\nsystem\n"
    return {
        "GLOBAL REDUCE": system + call + b"R",
        "posix": b"cposix\nsystem\n" + call + b"R",
        "builtins": b"c__builtin__\neval\n" + make.text(f"__import__('os').system({command!r})") + b"\x85R",
        "STACK_GLOBAL": make.text("os") + make.text("system") + b"\x93" + call + b"R",
        "STACK_GLOBAL split": make.text("os system") + make.text("") + b"\x93" + call + b"R",
        "dotted": make.text("collections") + make.text("OrderedDict.__init__.__globals__") + b"\x93)R",
        "torch member": b"ctorch\nload\n" + call + b"R",
        "INST": b"(" + make.text(command) + b"ios\nsystem\n",
        "OBJ": b"(" + system + make.text(command) + b"o",
        "OBJ allowed": b"(ccollections\nOrderedDict\no",
        "NEWOBJ": system + call + b"\x81",
        "NEWOBJ allowed": b"ccollections\nOrderedDict\n)\x81",
        "NEWOBJ_EX": system + call + b"}\x92",
        "EXT1": b"\x82\x01)R", "EXT2": b"\x83\x01\x00)R", "EXT4": b"\x84\x01\x00\x00\x00)R",
        "PERSID": b"Pos.system\n", "BINPERSID of a name": system + b"Q",
        "BUILD of a name": b"ccollections\nOrderedDict\n}" + make.text("x") + b"Nsb",
        "BUILD of slots": make.ORDERED_DICT + b"}}\x86b",
        "call of a storage type": b"ctorch\nFloatStorage\n)R",
        "call of text": make.text("os.system") + call + b"R",
        "call of a tensor": make.tensor(make.storage("0", 24), 0, (1,), (1,)) + call + b"R",
        "call without a tuple": b"ccollections\nOrderedDict\n]R",
        "OrderedDict of something": b"ccollections\nOrderedDict\n" + call + b"R",
        "parameter of nothing": b"ctorch._utils\n_rebuild_parameter\n)R",
        "tensor of nothing": b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        "tensor of a dict": make.tensor(b"}", 0, (1,), (1,)),
        "exponential id": exponential() + b"Q",
        "exponential call": exponential() + b")R",
        "exponential tensor": make.tensor(exponential(), 0, (1,), (1,)),
        "append to text": make.text("a") + b"Na", "fill a list": b"]NNs", "odd items": b"}(Nu",
        "empty stack": b"0", "no mark": b"t", "no memo": b"h\x07", "append to nothing": b"Na", "two values": b"NN",
        "open mark": b"N(", "nothing": b"", "text opcodes": b"I1\n", "bytes": b"C\x01a", "set": b"\x8f",
        "set of a list": b"](Nu", "items for a name": b"ccollections\nOrderedDict\n(K\x01\x90", "a mark less": b"1",
        "tensor of a placeholder": make.tensor(system, 0, (1,), (1,)),
        "parameter of a placeholder": b"ctorch._utils\n_rebuild_parameter\n(" + system + b"tR",
        "subclass that is a call": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + system + system + call + b"}tR",
        "subclass in itself": b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00(h\x00NNNtq\x01h\x00h\x01R",
        "storage of a placeholder": make.storage("0", 24).replace(b"ctorch\nFloatStorage\n", system),
    }


@pytest.mark.parametrize("name", hostile(""))
def test_hostile_pickles_run_nothing(tmp_path, name):
    sentinel = tmp_path / "sentinel"
    path = write(tmp_path, hostile(f"touch {sentinel}")[name])
    refused(path, "expected")
    assert not sentinel.exists()


@pytest.mark.parametrize("value", [
    "call", "instance", "attributes", "key", "exponential key", "tensor key", "items", "set", "setter"])
def test_what_is_hostile_beside_the_weights_runs_nothing(tmp_path, value):
    """It stands for itself, and the weights are read."""
    sentinel = tmp_path / "sentinel"
    system, call = b"cos\nsystem\n", make.text(f"touch {sentinel}") + b"\x85"
    program = {
        "call": system + call + b"R", "instance": system + call + b"\x81",
        "attributes": system + call + b"R" + call + b"b", "key": b"}" + system + call + b"RNs",
        "exponential key": b"}" + exponential() + b"Ns",
        "tensor key": b"}" + make.tensor(make.storage("0", 24), 0, (1,), (1,)) + b"Ns",
        "items": system + call + b"R(" + make.text("a") + system + call + b"Ru",
        "set": b"\x8f(" + system + call + b"R\x90",
        "setter": make.ORDERED_DICT + b"}" + make.text("__setstate__") + system + b"sb"}[value]
    weights = make.text("w") + make.tensor(make.storage("0", 24), 0, (24,), (1,))
    read = read_torch_file(write(tmp_path, b"}(" + make.text("x") + program + weights + b"u"))
    np.testing.assert_array_equal(read["w"], FLOATS)
    assert isinstance(read["x"], dict) and set(read["x"]) <= {"a"} and not sentinel.exists()


def test_the_hostile_pickle_would_have_run(tmp_path):
    """The same program does run in `pickle`, so the test above tests something."""
    sentinel = tmp_path / "sentinel"
    pickle.loads(b"\x80\x02" + hostile(f"echo > {sentinel}")["GLOBAL REDUCE"] + b".")
    assert sentinel.exists()


def test_names_the_refused(tmp_path):
    assert "'os system'" in refused(write(tmp_path, b"cos\nsystem\n"), "refused")
    message = refused(write(tmp_path, b"c" + b"a" * 5000 + b"\nb\n"), "refused")
    assert len(message) < len(os.fspath(tmp_path)) + 300


def test_deep_nesting_and_cycles(tmp_path):
    deep = read_torch_file(write(tmp_path, b"]" * 50_000 + b"a" * 49_999))
    for _ in range(49_999):
        deep, = deep
    assert deep == []
    cyclic = read_torch_file(write(tmp_path, b"]q\x00h\x00a"))
    assert cyclic[0] is cyclic
    assert read_torch_file(write(tmp_path, exponential()))[0] is not None
