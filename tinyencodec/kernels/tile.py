"""The register tile: a few rows times a few vectors of columns, summed without touching memory.

A matrix product is fast when each number loaded from memory is used many times. The tile keeps
ROWS x (VECTORS * WIDTH) running sums in vector registers and, for each k in turn, adds

    sum[r, j]  <-  fma(x[r, k], w[k, j], sum[r, j])        for all r and j of the tile

so one load of x serves VECTORS fused multiply-adds and one load of w serves ROWS of them. Numba
has no vector type of its own, so the loop is written with its `intrinsic` extension point, which
emits LLVM instructions; the loop below reads like the equation above.

**Exactness.** Every sum starts from its initial value and takes its terms in rising k, each with
one rounding (IEEE 754 fused multiply-add). The result does not depend on the
tile's size, the vector width, or how rows are shared out among calls and threads. Streaming or batch, one
thread or many, on any machine: the same bits.

Chapter 2 of the tutorials walks through it.
"""

import llvmlite.binding
import llvmlite.ir as ir
import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _shape_for_this_cpu() -> tuple[int, int]:
    """(floats per vector register, rows of the tile), so that 2 x rows sums fit the register file."""
    if numba.config.CPU_NAME is not None:  # NUMBA_CPU_NAME=generic, say: assume little
        return 4, 6
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 8  # 32 registers
    if features.get("avx2"):
        return 8, 6  # 16 registers
    return 4, 6


WIDTH, ROWS = _shape_for_this_cpu()
FEW = 2  # rows of a lower tile, for what is left over

_F32, _I64 = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, WIDTH)
_SPREAD = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)  # shuffle: lane 0 to all
_UNSET = ir.Constant(_VECTOR, ir.Undefined)


@numba.njit
def rows_at_once(left):
    """The rows of the next tile when so many are left."""
    return ROWS if left >= ROWS else FEW if left >= FEW else 1


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


def _make_tile(fused):
    array, index = types.Array(types.float32, 1, "C"), types.intp

    @intrinsic
    def run_tile(typing, rows, width, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step,
                 out, out_at, out_step):
        signature = types.void(index, index, array, index, index, index, index, index, array, index,
                               array, index, index, array, index, index)

        def emit(context, builder, signature, args):
            def pointer(array_value, at):
                return builder.gep(context.make_array(array)(context, builder, array_value).data, [at])

            (rows, width, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step,
             out, out_at, out_step) = args
            x, w, init, out = pointer(x, x_at), pointer(w, w_at), pointer(init, init_at), pointer(out, out_at)
            for n_rows in (ROWS, FEW, 1):  # constants are folded: a caller with fixed rows and width pays for one only
                for vectors in (2, 1):
                    fits = builder.and_(builder.icmp_signed("==", rows, _const(n_rows)),
                                        builder.icmp_signed("==", width, _const(vectors * WIDTH)))
                    with builder.if_then(fits):
                        _emit(builder, n_rows, vectors, fused, x, x_step, taps, tap_step, tap_length, w,
                              init, init_step, out, out_step)
            return context.get_dummy_value()

        return signature, emit

    return run_tile


# run_tile(rows, width, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step, out, out_at,
#          out_step)
# `rows` is ROWS, FEW or 1; `width`, the columns, is WIDTH or 2 * WIDTH. All arrays are flat float32; *_at is an offset
# and *_step the distance between rows, in floats. Row r of x is read in `taps` runs of `tap_length` floats, `tap_step`
# apart. `out` may be `init`.
run_tile = _make_tile(fused=True)
run_tile_unfused = _make_tile(fused=False)  # product and sum are each rounded, as NumPy does it: for `lm`
