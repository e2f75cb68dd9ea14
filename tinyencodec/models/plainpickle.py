"""Read the plain data in a pickle without running it.

A pickle is a program for a stack machine, and Python's own machine imports any function that the program names and
calls it. Here `pickletools.genops` of the standard library splits the program into opcodes, which runs nothing, and
a small machine carries out those that build None, numbers, text, tuples, lists and dicts. What a name, a call or a
"persistent id" means is up to the caller: a name is looked up in the caller's list and stands only for itself.

Whatever else people save beside their weights (dates, settings in a Namespace, NumPy's scalars, sets, objects of any
class) is not made: a `Foreign` takes its place, whatever the pickle asks to be called, with whatever arguments.

A hostile pickle can only fail, and at little cost: its length and its number of opcodes are limited, and no opcode
takes much more memory than its own bytes. (The memo of `pickle.Unpickler` is an array, in which an index of 2**31
takes gigabytes; this one is a dict.)

Left out: the text opcodes of protocols 0 and 1. Opcodes: PEP 307, PEP 3154, and the comments in `pickletools`.
"""

import pickletools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 1 << 20
_MAX_OPCODES = 1 << 17  # a tensor takes about 30
_MAX_INT = 1 << 63  # no count is longer, and longer ones could be made to collide as keys of a dict


@dataclass(frozen=True)
class Name:
    """A `module name` that the pickle mentions: a label, not the thing."""

    text: str


class Foreign(dict):
    """A placeholder: the name of a class or function that is not known here, or for what it would have made.

    Only items that the pickle puts into it are kept, since some checkpoints are dicts of a class of their own.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


def load(data: bytes, names: Collection[str], call: Callable[[str, tuple], object],
         persistent: Callable[[object], object]) -> object:
    """Return the value that a pickle of protocol 2 to 5 describes.

    `names` are those that mean something, each as "module name". `call(name, arguments)` returns what the call of such
    a name stands for, `persistent(id)` what a persistent id does. Containers may share children or contain themselves.
    Items of a dict whose key is neither text nor an integer are left out.

    Raises `ValueError` for an unknown opcode, a pickle of nothing but a `Foreign`, a damaged one, or one of more than
    `MAX_BYTES` bytes.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"expected a pickle of at most {MAX_BYTES} bytes, got {len(data)}")
    machine = _Machine(names, call, persistent)
    for count, (opcode, argument, at) in enumerate(_opcodes(data)):
        if count == _MAX_OPCODES:
            raise ValueError(f"expected a pickle of at most {_MAX_OPCODES} opcodes, got more")
        if opcode.name == "STOP":
            break
        try:
            machine.step(opcode.name, argument)
        except (IndexError, KeyError):
            raise ValueError(f"pickle: expected a value for {opcode.name} at byte {at}, got none") from None
    if len(machine.stack) != 1 or machine.marks:
        raise ValueError(f"pickle: expected one value at its end, got {len(machine.stack)}")
    value = machine.stack[0]
    if isinstance(value, Foreign) and not value:
        raise ValueError(f"pickle: expected plain data, got the name {value.name[:80]!r}: refused")
    return value


def _opcodes(data: bytes) -> Iterator:
    """(opcode, its argument, its position) up to STOP."""
    try:
        yield from pickletools.genops(data)
    except ValueError as error:
        raise ValueError(f"expected a whole pickle, got a damaged one: {str(error)[:200]!r}") from None


class _Machine:
    """A stack of values, the heights at which marks were set, and a memo of values to be used again.

    A value missing from one of them is an `IndexError` or a `KeyError`.
    """

    def __init__(self, names: Collection[str], call: Callable, persistent: Callable) -> None:
        self.names, self.call, self.persistent = names, call, persistent
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode."""
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4":
                stack.append(argument if -_MAX_INT <= argument < _MAX_INT else Foreign("int of over 64 bits"))
            case "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(Foreign("bytes"))
            case "EMPTY_SET":
                stack.append(Foreign("set"))
            case "ADDITEMS":
                self.pop_to_mark()
                self.expect(stack[-1], Foreign, "a set to add to")
            case "FROZENSET":
                self.pop_to_mark()
                stack.append(Foreign("frozenset"))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self.pop_to_mark()
            case "MARK":
                self.marks.append(len(stack))
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.pop(int(opcode[-1]))))
            case "TUPLE":
                stack.append(tuple(self.pop_to_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND" | "APPENDS":
                values = self.pop(1) if opcode == "APPEND" else self.pop_to_mark()
                if not isinstance(stack[-1], Foreign):
                    self.expect(stack[-1], list, "a list to append to")
                    stack[-1].extend(values)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM" | "SETITEMS":
                self.set_items(self.pop(2) if opcode == "SETITEM" else self.pop_to_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                self.push_name(argument)
            case "STACK_GLOBAL":
                module, name = self.pop(2)
                self.expect(module, str, "a module's name")
                self.expect(name, str, "a name")
                self.push_name(f"{module} {name}")
            case "BINPERSID":
                stack.append(self.persistent(stack.pop()))
            case "REDUCE":
                function, arguments = self.pop(2)
                if isinstance(function, Foreign):
                    stack.append(Foreign(function.name))
                else:
                    self.expect(function, Name, "a name to call")
                    self.expect(arguments, tuple, "a tuple of arguments")
                    stack.append(self.call(function.text, arguments))
            case "NEWOBJ" | "NEWOBJ_EX":
                kind, *_ = self.pop(2 if opcode == "NEWOBJ" else 3)
                self.expect(kind, Foreign, "a class")
                stack.append(Foreign(kind.name))
            case "BUILD":  # attributes are not kept
                attributes = stack.pop()
                if not isinstance(stack[-1], Foreign):
                    self.expect(attributes, dict, "attributes in a dict")
                    self.expect(stack[-1], dict, "a dict to have attributes")
            case _:
                shown = f" {argument[:80]!r}" if isinstance(argument, str) else ""
                raise ValueError(f"pickle: expected opcodes of plain data, got {opcode}{shown}: refused")

    def pop(self, count: int) -> list:
        """Take the last `count` values off the stack, oldest first."""
        return [self.stack.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list:
        """Take off all values above the last mark, and the mark."""
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values

    def push_name(self, name: str) -> None:
        self.stack.append(Name(name) if name in self.names else Foreign(name))

    def set_items(self, values: list) -> None:
        """Put key, value, key, value ... into the dict on top."""
        if not isinstance(self.stack[-1], Foreign):
            self.expect(self.stack[-1], dict, "a dict to fill")
        if len(values) % 2:
            raise ValueError(f"pickle: expected keys and values in pairs, got {len(values)}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) in (str, int):  # a tuple of shared tuples would take exponential time to hash
                self.stack[-1][key] = value

    @staticmethod
    def expect(value: object, kind: type, what: str) -> None:
        if type(value) is not kind:
            raise ValueError(f"pickle: expected {what}, got {type(value).__name__}")
