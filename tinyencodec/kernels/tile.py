"""The register tile: a few rows times a few vectors of columns, summed without touching memory.

A matrix product is fast when each number loaded from memory is used many times. The tile keeps
ROWS x (VECTORS * WIDTH) running sums in vector registers and, for each k in turn, adds

    sum[r, j]  <-  fma(x[r, k], w[k, j], sum[r, j])        for all r and j of the tile

so one load of x serves VECTORS fused multiply-adds and one load of w serves ROWS of them. The
instructions are in `system.compiler.tile_code`.

**Exactness.** Every sum starts from its initial value and takes its terms in rising k, each with
one rounding (IEEE 754 fused multiply-add). The result does not depend on the tile's size, the vector width, or how
rows are shared out among calls and threads. Streaming or batch, one thread or many, on any machine: the same bits.

Chapter 2 of the tutorials walks through it.
"""

from tinyencodec.system.compiler.jit import emitted, inlined
from tinyencodec.system.compiler.processor import FEW, LONG, ROWS, WIDTH

__all__ = ["FEW", "LONG", "ROWS", "WIDTH"]


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
run_row = emitted("tinyencodec.system.compiler.tile_code", "run_row")
run_tile = emitted("tinyencodec.system.compiler.tile_code", "run_tile")
run_tile_unfused = emitted("tinyencodec.system.compiler.tile_code", "run_tile_unfused")
