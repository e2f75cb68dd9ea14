"""The register tile: a few rows times a few vectors of columns, summed without touching memory.

A matrix product is fast when each number loaded from memory is used many times. The tile keeps
ROWS x (VECTORS * WIDTH) running sums in vector registers and, for each k in turn, adds

    sum[r, j]  <-  fma(x[r, k], w[k, j], sum[r, j])        for all r and j of the tile

so one load of x serves VECTORS fused multiply-adds and one load of w serves ROWS of them. Numba
has no vector type of its own, so the loop is written with its `intrinsic` extension point, which
emits LLVM instructions; the loop below reads like the equation above.

**Exactness.** Every sum starts from its initial value and takes its terms in rising k, each with
one rounding (IEEE 754 fused multiply-add). Neither the tile's size, nor the vector width, nor how
rows are dealt out to calls or threads enters the result. Streaming, batch, one thread or many, on
any machine: the same bits.

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


def _make_tile(rows: int, vectors: int, fused: bool = True):
    array, index = types.Array(types.float32, 1, "C"), types.intp

    @intrinsic
    def tile(typing, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step,
             out, out_at, out_step):
        signature = types.void(array, index, index, index, index, index, array, index,
                               array, index, index, array, index, index)

        def emit(context, builder, signature, args):
            def pointer(array_value, at):
                data = context.make_array(array)(context, builder, array_value).data
                return builder.gep(data, [at])

            def at_vector(base, offset):  # address of WIDTH floats, `offset` floats on
                return builder.bitcast(builder.gep(base, [offset]), _VECTOR.as_pointer())

            def const(value):
                return ir.Constant(_I64, value)

            (x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step,
             out, out_at, out_step) = args
            x, w, init, out = pointer(x, x_at), pointer(w, w_at), pointer(init, init_at), pointer(out, out_at)
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{WIDTH}f32")

            sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)] for _ in range(rows)]
            for r in range(rows):
                row = builder.gep(init, [builder.mul(init_step, const(r))])
                for v in range(vectors):
                    builder.store(builder.load(at_vector(row, const(v * WIDTH)), align=4), sums[r][v])

            with cgutils.for_range(builder, taps) as tap:
                x_tap = builder.gep(x, [builder.mul(tap.index, tap_step)])
                x_rows = [builder.gep(x_tap, [builder.mul(x_step, const(r))]) for r in range(rows)]
                first_k = builder.mul(tap.index, tap_length)
                with cgutils.for_range(builder, tap_length) as loop:
                    k = builder.add(first_k, loop.index)
                    w_k = builder.mul(k, const(vectors * WIDTH))
                    w_vectors = [builder.load(at_vector(w, builder.add(w_k, const(v * WIDTH))), align=4)
                                 for v in range(vectors)]
                    for r in range(rows):
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

            for r in range(rows):
                row = builder.gep(out, [builder.mul(out_step, const(r))])
                for v in range(vectors):
                    builder.store(builder.load(sums[r][v]), at_vector(row, const(v * WIDTH)), align=4)
            return context.get_dummy_value()

        return signature, emit

    return tile


# tile(x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step, out, out_at, out_step)
# All arrays are flat float32; *_at is an offset and *_step the distance between rows, in floats. Row r
# of x is read in `taps` runs of `tap_length` floats, `tap_step` apart. `out` may be `init`.
many_rows_wide = _make_tile(ROWS, 2)
many_rows = _make_tile(ROWS, 1)
one_row_wide = _make_tile(1, 2)
one_row = _make_tile(1, 1)

# The same with a product and a sum that are rounded each on its own, as NumPy does it, for `exact_product`.
many_rows_wide_unfused = _make_tile(ROWS, 2, fused=False)
few_rows_wide_unfused = _make_tile(FEW, 2, fused=False)
one_row_wide_unfused = _make_tile(1, 2, fused=False)
