"""From a loop in Python to machine code: Numba types and translates it, LLVM optimises it.

The result is an object file with one function that can be called from C and needs nothing of Numba, so a
program that finds it in the cache never imports Numba, which takes longer than coding a minute of sound.
For that a loop allocates no memory and raises nothing. The function takes

    the address of a list of addresses: NumPy's type of arrays, then the dtype of each array argument
    the arguments in order: an array as the object that it is, numbers as they are

and returns the loop's result, or 0; `UNFIT` if an array is not of the signature's type. What an array
object looks like in memory is fixed by NumPy's C interface (`PyArrayObject_fields`): after the object's
head come its data, number of dimensions, shape, strides, base, dtype and flags.

Numba is imported here and in `tile_code` only, and both only when there is something to compile.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, compiler, sigutils, types
from numba.core.codegen import CPUCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from tinyencodec.system.compiler.processor import WIDTH

UNFIT = -(1 << 63)
_C_ORDER_ALIGNED_WRITABLE = 0x1 | 0x100 | 0x400
_I32, _I64, _BYTE = ir.IntType(32), ir.IntType(64), ir.IntType(8)
_ADDRESS, _HEAD = _BYTE.as_pointer(), object.__basicsize__


class _Library(CPUCodeLibrary):
    """Functions that are put together first, and optimised once, when a kernel is complete."""

    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        """Not yet."""

    def _finalize_specific(self):
        """Nothing is loaded into this process."""


class _Codegen(JITCPUCodegen):
    _library_class = _Library

    def _customize_tm_features(self):
        wide = ",-prefer-256-bit" if WIDTH == 16 else ""  # whole vectors: LLVM takes halves of them by itself
        return super()._customize_tm_features() + wide

    def _add_module(self, module):
        """To no engine."""


@cache
def _context():
    return cpu_target.target_context.subtarget(_internal_codegen=_Codegen("tinyencodec"))


def _translated(function, kinds, result=None):
    """A function in LLVM's instructions, by Numba, for arguments of these types."""
    flags = compiler.Flags()
    flags.error_model, flags.no_compile = "numpy", True
    flags.no_cpython_wrapper, flags.no_cfunc_wrapper = True, True
    return compiler.compile_extra(cpu_target.typing_context, _context(), function, kinds, result, flags, {})


def _intrinsic(function, typed):
    """What kernels call in its place. `typed` : from types of arguments to the signature, and what emits the call."""
    def call(typing, *kinds):
        return typed(kinds)

    own = inspect.signature(function)
    context = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_ONLY)
    vars(call)["__signature__"] = own.replace(parameters=[context, *own.parameters.values()])
    return intrinsic(call)


def inlined(function: Callable) -> Any:
    """A Python function as one that kernels can call."""
    @cache
    def typed(kinds):
        part = _translated(function, kinds)

        def emit(context, builder, signature, args):
            context.active_code_library.add_linking_library(part.library)
            return context.call_internal(builder, part.fndesc, signature, args)

        return part.signature, emit

    return _intrinsic(function, typed)


def linked(loop: Callable, signature: str, name: str) -> Any:
    """A kernel as one that others can call, once its object file is in memory."""
    kinds, result = sigutils.normalize_signature(signature)

    def emit(context, builder, signature, args):
        kind = context.call_conv.get_function_type(result, kinds)
        function = cgutils.get_or_insert_function(builder.module, kind, _inner(name))
        return context.call_conv.call_function(builder, function, result, kinds, args)[1]

    return _intrinsic(loop, lambda _: (result(*kinds), emit))


def _inner(name):
    """The name of the loop itself, which takes its arguments as Numba passes them."""
    return f"{name}_loop"


@global_compiler_lock
def object_file(loop: Callable, signature: str, name: str) -> bytes:
    """Compile a loop for the processor of this machine; `name` is the function's in the object file.

    Numbers are summed in the order written: no fast-math. Raises whatever Numba makes of a faulty loop.
    """
    compiled, codegen = _translated(loop, *sigutils.normalize_signature(signature)), _context().codegen()
    library = codegen.create_library(name)
    library.add_linking_library(compiled.library)
    library.add_ir_module(_entry(_context(), compiled.fndesc, name))
    library.finalize()
    module = library._final_module
    module.get_function(compiled.fndesc.llvm_func_name).name = _inner(name)
    # Numba's names count what a process has compiled, so those of two processes can be alike: nobody else may see them.
    for value in (*module.functions, *module.global_variables):
        if not value.is_declaration:
            value.visibility = "default"
            value.linkage = "external" if value.name in (name, _inner(name)) else "internal"
    CPUCodeLibrary._optimize_final_module(library)
    outside = {function.name for function in module.functions if function.is_declaration}
    foreign = {function for function in outside if function.startswith(("NRT_", "Py", "numba_"))}
    assert not foreign, f"{name}: expected a loop that allocates and raises nothing, got one that calls {foreign}"
    return codegen._tm.emit_object(module)


def _entry(context, described, name):
    """The module with the function of that name; it checks the arrays, and calls the loop."""
    module = context.create_module(name)
    loop = ir.Function(module, context.call_conv.get_function_type(described.restype, described.argtypes),
                       described.llvm_func_name)
    loop.attributes.add("noinline")
    given = [_ADDRESS if isinstance(each, types.Array) else context.get_value_type(each) for each in described.argtypes]
    entry = ir.Function(module, ir.FunctionType(_I64, [_ADDRESS, *given]), name)
    builder = ir.IRBuilder(entry.append_basic_block())

    def field(place, offset, kind):
        at = builder.gep(place, [ir.Constant(_I64, offset)])
        return builder.load(builder.bitcast(at, kind.as_pointer()))

    def unless(good):
        with builder.if_then(builder.not_(good), likely=False):
            builder.ret(ir.Constant(_I64, UNFIT))

    table, *arguments = entry.args
    array_type, dtypes, values = field(table, 0, _I64), 0, []
    for argument, kind in zip(arguments, described.argtypes):
        if not isinstance(kind, types.Array):
            values.append(argument)
            continue
        unless(builder.icmp_signed("==", field(argument, _HEAD - 8, _I64), array_type))
        dtypes += 1
        unless(builder.icmp_signed("==", field(argument, _HEAD + 40, _I64), field(table, 8 * dtypes, _I64)))
        unless(builder.icmp_signed("==", field(argument, _HEAD + 8, _I32), ir.Constant(_I32, kind.ndim)))
        flags = builder.and_(field(argument, _HEAD + 48, _I32), ir.Constant(_I32, _C_ORDER_ALIGNED_WRITABLE))
        unless(builder.icmp_signed("==", flags, ir.Constant(_I32, _C_ORDER_ALIGNED_WRITABLE)))
        array = context.make_array(kind)(context, builder)
        shape, strides = field(argument, _HEAD + 16, _ADDRESS), field(argument, _HEAD + 24, _ADDRESS)
        populate_array(array, builder.bitcast(field(argument, _HEAD, _ADDRESS), array.data.type),
                       cgutils.pack_array(builder, [field(shape, 8 * i, _I64) for i in range(kind.ndim)], _I64),
                       cgutils.pack_array(builder, [field(strides, 8 * i, _I64) for i in range(kind.ndim)], _I64),
                       ir.Constant(_I64, context.get_abi_sizeof(context.get_data_type(kind.dtype))), None)
        values.append(array._getvalue())
    _, result = context.call_conv.call_function(builder, loop, described.restype, described.argtypes, values)
    builder.ret(ir.Constant(_I64, 0) if described.restype == types.none else result)
    return module
