"""The instructions of the register tile (`kernels.tile`).

Numba has no vector type of its own, so the loop is written with its `intrinsic` extension point, which
emits LLVM instructions; it reads like the equation there. Imported only to compile.

Chapter 2 of the tutorials walks through it.
"""

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinyencodec.system.compiler.processor import FEW, LONG, ROWS, WIDTH

_F32, _I64 = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, WIDTH)
_SPREAD = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)  # shuffle: lane 0 to all
_UNSET = ir.Constant(_VECTOR, ir.Undefined)


def _const(value):
    return ir.Constant(_I64, value)


def _vector_at(builder, base, offset):
    """The address of WIDTH floats, `offset` floats after `base`."""
    return builder.bitcast(builder.gep(base, [offset]), _VECTOR.as_pointer())


def _emit(builder, n_rows, vectors, fused, x, x_step, taps, tap_step, tap_length, w, init, init_step, out, out_step):
    """The instructions of a tile of n_rows x (vectors * WIDTH)."""
    fma = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{WIDTH}f32")
    sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)] for _ in range(n_rows)]
    for r in range(n_rows):
        row = builder.gep(init, [builder.mul(init_step, _const(r))])
        for v in range(vectors):
            builder.store(builder.load(_vector_at(builder, row, _const(v * WIDTH)), align=4), sums[r][v])

    with cgutils.for_range(builder, taps) as tap:
        x_tap = builder.gep(x, [builder.mul(tap.index, tap_step)])
        x_rows = [builder.gep(x_tap, [builder.mul(x_step, _const(r))]) for r in range(n_rows)]
        first_k = builder.mul(tap.index, tap_length)
        with cgutils.for_range(builder, tap_length) as loop:
            w_k = builder.mul(builder.add(first_k, loop.index), _const(vectors * WIDTH))
            w_vectors = [builder.load(_vector_at(builder, w, builder.add(w_k, _const(v * WIDTH))), align=4)
                         for v in range(vectors)]
            for r in range(n_rows):
                value = builder.load(builder.gep(x_rows[r], [loop.index]))
                value = builder.insert_element(_UNSET, value, ir.Constant(ir.IntType(32), 0))
                value = builder.shuffle_vector(value, _UNSET, _SPREAD)
                for v in range(vectors):
                    so_far = builder.load(sums[r][v])
                    if fused:
                        so_far = builder.call(fma, [value, w_vectors[v], so_far])
                    else:
                        so_far = builder.fadd(so_far, builder.fmul(value, w_vectors[v]))
                    builder.store(so_far, sums[r][v])

    for r in range(n_rows):
        row = builder.gep(out, [builder.mul(out_step, _const(r))])
        for v in range(vectors):
            builder.store(builder.load(sums[r][v]), _vector_at(builder, row, _const(v * WIDTH)), align=4)


def _make_tile(fused, shapes):
    """An intrinsic of tiles of these shapes, (rows, vectors)."""
    index = types.intp

    @intrinsic
    def run_tile(typing, rows, width, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step,
                 out, out_at, out_step):
        signature = types.void(index, index, x, index, index, index, index, index, w, index,
                               init, index, index, out, index, index)

        def emit(context, builder, signature, args):
            def pointer(kind, array, at):
                assert kind.dtype == types.float32 and kind.layout == "C"
                return builder.gep(context.make_array(kind)(context, builder, array).data, [at])

            kinds = signature.args
            (rows, width, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step,
             out, out_at, out_step) = args
            x, w = pointer(kinds[2], x, x_at), pointer(kinds[8], w, w_at)
            init, out = pointer(kinds[10], init, init_at), pointer(kinds[13], out, out_at)
            for n_rows, vectors in shapes:  # constants are folded: a caller with fixed ones pays for one only
                fits = builder.and_(builder.icmp_signed("==", rows, _const(n_rows)),
                                    builder.icmp_signed("==", width, _const(vectors * WIDTH)))
                with builder.if_then(fits):
                    _emit(builder, n_rows, vectors, fused, x, x_step, taps, tap_step, tap_length, w,
                          init, init_step, out, out_step)
            return context.get_dummy_value()

        return signature, emit

    return run_tile


_SHAPES = [(2 * ROWS, 1), *((rows, vectors) for rows in (ROWS, FEW, 1) for vectors in (2, 1))]
run_tile, run_tile_unfused = _make_tile(True, _SHAPES), _make_tile(False, _SHAPES)
run_row = _make_tile(True, [(1, LONG), (1, 1)])


@intrinsic
def fma(typing, a, b, c):
    """a * b + c with one rounding; neither Python nor Numba has a function for it."""
    return types.float32(a, b, c), lambda context, builder, signature, args: builder.fma(*args)
