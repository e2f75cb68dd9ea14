"""Read the plain data in a pickle without running it.

A pickle is a program for a stack machine, and Python's own machine imports any function that the program names and
calls it. Here `pickletools.genops` of the standard library splits the program into opcodes, which runs nothing, and
a small machine carries out those that build None, numbers, text, tuples, lists and dicts. What a name, a call or a
"persistent id" means is up to the caller: a name is looked up in the caller's list and stands only for itself.

A hostile pickle can only fail, and at little cost: its length and its number of opcodes are limited, and no opcode
takes much more memory than its own bytes. (The memo of `pickle.Unpickler` is an array, in which an index of 2**31
takes gigabytes; this one is a dict.)

Left out: the text opcodes of protocol 0, bytes, sets, and objects of any class. Opcodes: PEP 307, PEP 3154, and the
comments in `pickletools`.
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


def load(data: bytes, names: Collection[str], call: Callable[[str, tuple], object],
         persistent: Callable[[object], object]) -> object:
    """Return the value that a pickle of protocol 2 to 5 describes.

    `names` are those that may occur, each as "module name". `call(name, arguments)` returns what the call of such a
    name stands for, `persistent(id)` what a persistent id does. Containers may share children or contain themselves.

    Raises `ValueError` for another name or opcode, a damaged pickle, or one of more than `MAX_BYTES` bytes.
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
    return machine.stack[0]


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
            case "BININT" | "BININT1" | "BININT2" | "LONG1":
                if not -_MAX_INT <= argument < _MAX_INT:
                    raise ValueError(f"pickle: expected integers of 64 bits, got one of {argument.bit_length() + 1}")
                stack.append(argument)
            case "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
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
                self.expect(function, Name, "a name to call")
                self.expect(arguments, tuple, "a tuple of arguments")
                stack.append(self.call(function.text, arguments))
            case "BUILD":  # the attributes of a dict of a class of its own: read, not kept
                self.expect(stack.pop(), dict, "attributes in a dict")
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
        if name not in self.names:
            raise ValueError(f"pickle: expected plain data, got the name {name[:80]!r}: refused")
        self.stack.append(Name(name))

    def set_items(self, values: list) -> None:
        """Put key, value, key, value ... into the dict on top."""
        self.expect(self.stack[-1], dict, "a dict to fill")
        if len(values) % 2:
            raise ValueError(f"pickle: expected keys and values in pairs, got {len(values)}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int):  # a tuple of shared tuples would take exponential time to hash
                raise ValueError(f"pickle: expected text or an integer as a key, got {type(key).__name__}")
            self.stack[-1][key] = value

    @staticmethod
    def expect(value: object, kind: type, what: str) -> None:
        if type(value) is not kind:
            raise ValueError(f"pickle: expected {what}, got {type(value).__name__}")
