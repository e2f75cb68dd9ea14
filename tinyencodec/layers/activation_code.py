"""ELU of whole vectors, in LLVM's instructions: left to itself, LLVM takes vectors half as wide as the processor's.

The same operations in the same order as `activation._expm1`, and so the same bits. Imported only to compile.

Chapter 6 of the tutorials walks through it.
"""

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinyencodec.kernels.tile import WIDTH
from tinyencodec.layers import activation

_FLOATS, _INTEGERS = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(ir.IntType(32), WIDTH)


def _all(value):
    """A vector of one float32."""
    return ir.Constant(_FLOATS, [float(value)] * WIDTH)


def _elu(builder, x):
    def function(name, *args):
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(args))
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f32"), args)

    def fma(a, b, c):
        return function("fma", a, b, c)

    def integers(value):
        return ir.Constant(_INTEGERS, [value] * WIDTH)

    zero, one = _all(0), _all(1)
    above = builder.select(builder.fcmp_ordered(">", zero, x), zero, x)
    below = builder.select(builder.fcmp_ordered("<", zero, x), zero, x)
    lowest = _all(activation._LOWEST)
    below = builder.select(builder.fcmp_ordered(">", lowest, below), lowest, below)
    n = function("floor", fma(below, _all(activation._LOG2E), _all(0.5)))
    r = fma(n, _all(-activation._LN2_LOW), fma(n, _all(-activation._LN2_HIGH), below))
    exponent = builder.shl(builder.add(builder.fptosi(n, _INTEGERS), integers(127)), integers(23))
    power = builder.bitcast(exponent, _FLOATS)
    series = fma(r, _all(activation._C7), _all(activation._C6))
    for coefficient in (activation._C5, activation._C4, activation._C3, activation._C2):
        series = fma(r, series, _all(coefficient))
    return builder.fadd(above, fma(power, fma(builder.fmul(r, r), series, r), builder.fsub(power, one)))


@intrinsic
def elu_vectors(typing, x, count, out):
    """ELU of the first `count` vectors of x, to out, which may be x. Both are flat float32."""
    def emit(context, builder, signature, args):
        source, target = (context.make_array(kind)(context, builder, array).data
                          for kind, array in ((x, args[0]), (out, args[2])))
        with cgutils.for_range(builder, args[1]) as loop:
            at = builder.mul(loop.index, ir.Constant(ir.IntType(64), WIDTH))
            source_at, target_at = (builder.bitcast(builder.gep(base, [at]), _FLOATS.as_pointer())
                                    for base in (source, target))
            builder.store(_elu(builder, builder.load(source_at, align=4)), target_at, align=4)
        return context.get_dummy_value()

    return types.void(x, types.intp, out), emit
