"""The register tile: a few rows times a few vectors of columns, summed without touching memory.

A matrix product is fast when each number loaded from memory is used many times. The tile keeps
ROWS x (VECTORS * WIDTH) running sums in vector registers and, for each k in turn, adds

    sum[r, j]  <-  fma(x[r, k], w[k, j], sum[r, j])        for all r and j of the tile

so one load of x serves VECTORS fused multiply-adds and one load of w serves ROWS of them. The
instructions are in `tile_code`.

**Exactness.** Every sum starts from its initial value and takes its terms in rising k, each with
one rounding (IEEE 754 fused multiply-add). The result does not depend on the
tile's size, the vector width, or how rows are shared out among calls and threads. Streaming or batch, one
thread or many, on any machine: the same bits.

Chapter 2 of the tutorials walks through it.
"""

import os

import llvmlite.binding

from tinyencodec.kernels.jit import emitted, inlined


def _shape_for_this_cpu() -> tuple[int, int]:
    """(floats per vector register, rows of the tile), so that 2 x rows sums fit the register file."""
    if os.environ.get("NUMBA_CPU_NAME") is not None:  # generic, say: assume little
        return 4, 6
    features = llvmlite.binding.get_host_cpu_features()
    for name in os.environ.get("NUMBA_CPU_FEATURES", "").split(","):
        if name.startswith("-"):  # -avx512f, say: as on a machine without
            features[name[1:]] = False
    if features.get("avx512f"):
        return 16, 8  # 32 registers
    if features.get("avx2"):
        return 8, 6  # 16 registers
    return 4, 6


WIDTH, ROWS = _shape_for_this_cpu()
FEW = 2  # rows of a lower tile, for what is left over
LONG = 8  # vectors of a tile of one row, where nothing else hides how long a multiply-add takes


@inlined
def rows_at_once(left: int) -> int:
    """The rows of the next tile when so many are left."""
    return ROWS if left >= ROWS else FEW if left >= FEW else 1


# run_tile(rows, width, x, x_at, x_step, taps, tap_step, tap_length, w, w_at, init, init_at, init_step, out, out_at,
#          out_step)
# `rows` is ROWS, FEW or 1; `width`, the columns, is WIDTH or 2 * WIDTH. Arrays are float32, read flat; *_at is an
# offset and *_step the distance between rows, in floats. Row r of x is read in `taps` runs of `tap_length` floats,
# `tap_step` apart. `out` may be `init`. Unfused: product and sum are each rounded, as NumPy does it, for `lm`.
# `run_row` is the tile of one row: `width` is WIDTH or LONG * WIDTH.
run_row = emitted("tinyencodec.kernels.tile_code", "run_row")
run_tile = emitted("tinyencodec.kernels.tile_code", "run_tile")
run_tile_unfused = emitted("tinyencodec.kernels.tile_code", "run_tile_unfused")
