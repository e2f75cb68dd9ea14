"""One matrix product for the whole codec: overlapping rows of a signal times a packed matrix.

    out[m, n] = init[m, n] + sum_k  x[m, k] * w[k, n],        k = 0, 1, ... K-1 in this order

Time-major signals make every layer of EnCodec this one product. Row m of x is the window that
output m looks at, and windows may overlap: row m starts `row_step` floats after row m-1, straight
in the signal's memory. A convolution of stride s over C channels has row_step = s*C and
K = kernel*C, with no im2col copy; a transposed convolution, an LSTM projection and the distance to
a codebook are the same with other numbers. A dilated convolution reads its row in `taps` separate
runs.

The order of each sum is fixed (see `tile`), so a row's result does not depend on the rows around it.

Chapter 2 of the tutorials walks through it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinyencodec.kernels.tile import ROWS, WIDTH, rows_at_once, run_tile, run_tile_unfused
from tinyencodec.system.compiler.jit import kernel, variant

EDGE = ROWS * 2 * WIDTH  # floats of a whole tile
_BLOCK = 1 << 16  # floats of x that a block of rows covers: a quarter of a mebibyte, well inside the second-level cache
_LINE = 16  # floats of a line of cache, where a packed matrix begins: a vector across two is read half as fast
_DEPTH = 128  # rows of a panel that stay in the first-level cache for all rows of x


@dataclass(frozen=True)
class PackedMatrix:
    """A [K, N] matrix in the order the tile reads it.

    Columns are cut into panels; within a panel, row k's columns lie side by side. The last panel is
    filled up with zero columns, to WIDTH or to the whole.
    """

    n_in: int  # K
    n_out: int  # N
    data: np.ndarray  # float32, flat
    panel: int = 2 * WIDTH  # columns


def pack(matrix: np.ndarray, panel: int = 2 * WIDTH) -> PackedMatrix:
    """Pack a float [K, N] matrix, for `gemm` in panels of 2 * WIDTH."""
    n_in, n_out = matrix.shape
    panels = []
    for start in range(0, n_out, panel):
        columns = matrix[:, start:start + panel]
        width = WIDTH if columns.shape[1] <= WIDTH else panel
        panels.append(np.pad(columns, ((0, 0), (0, width - columns.shape[1]))).astype(np.float32).ravel())
    room = np.empty(sum(map(len, panels)) + _LINE, np.float32)
    data = room[-(room.ctypes.data // 4) % _LINE:][:len(room) - _LINE]
    return PackedMatrix(n_in, n_out, np.concatenate(panels, out=data), panel)


def unpack(matrix: PackedMatrix) -> np.ndarray:
    """The float32 [K, N] matrix that was packed."""
    n_in, n_out, rest, panels = matrix.n_in, matrix.n_out, matrix.data, []
    for start in range(0, n_out, matrix.panel):
        width = WIDTH if n_out - start <= WIDTH else matrix.panel
        panels.append(rest[:n_in * width].reshape(n_in, width))
        rest = rest[n_in * width:]
    return np.concatenate(panels, axis=1)[:, :n_out]


def several_rows(matrix: np.ndarray, row_step: int, rows: int) -> np.ndarray:
    """The matrix that makes `rows` neighbouring rows of the product at once, side by side.

    A matrix with few columns leaves most of a vector register empty. This one is [K + (rows-1) * row_step,
    rows * N]: copies of `matrix` down the diagonal, zero elsewhere. A term that is multiplied by zero
    leaves a sum as it is, so the results are the same, bit by bit.
    """
    n_in, n_out = matrix.shape
    out = np.zeros((n_in + (rows - 1) * row_step, rows, n_out), matrix.dtype)
    for r in range(rows):
        out[r * row_step:r * row_step + n_in, r] = matrix
    return out.reshape(-1, rows * n_out)


def gemm(x: np.ndarray, w: PackedMatrix, n_rows: int, row_step: int, init: np.ndarray,
         out: np.ndarray | None = None, taps: int = 1, tap_step: int = 0, fused: bool = True) -> np.ndarray:
    """Multiply `n_rows` overlapping rows of a signal by a packed matrix.

    Parameters
    ----------
    x : float32, C-contiguous, any shape; read as one flat run of floats.
    w : the packed [K, N] matrix; K must be divisible by `taps`.
    n_rows, row_step : rows M, and floats from the start of one to the start of the next.
    init : float32, either [N] (a bias, the same for each row) or [M, N].
    out : float32 [M, N], C-contiguous, or None for a new array. May be `init` (accumulation).
    taps, tap_step : row m is `taps` runs of K / taps floats, `tap_step` floats apart.
    fused : round once for each product and sum together; else for each of the two, as NumPy does.

    Returns
    -------
    out : float32 [M, N].
    """
    if out is None:
        out = np.empty((n_rows, w.n_out), np.float32)
    tap_length = w.n_in // taps
    # The kernel works on bare memory: these say that it stays inside.
    assert x.dtype == init.dtype == out.dtype == np.float32
    assert x.flags.c_contiguous and init.flags.c_contiguous and out.flags.c_contiguous
    assert tap_length * taps == w.n_in and row_step >= 0 and tap_step >= 0
    assert n_rows == 0 or x.size >= (n_rows - 1) * row_step + (taps - 1) * tap_step + tap_length
    assert out.shape == (n_rows, w.n_out) and init.shape in ((w.n_out,), out.shape)
    init_step = w.n_out if init.ndim == 2 else 0
    (gemm_run if fused else _gemm_unfused)(x.reshape(-1), n_rows, row_step, taps, tap_step, tap_length, w.data, w.n_out,
                                           init.reshape(-1), init_step, out.reshape(-1), np.empty(EDGE, np.float32))
    return out


def _gemm_naive(x: np.ndarray, n_rows: int, row_step: int, taps: int, tap_step: int, tap_length: int, w: np.ndarray,
                n_out: int, init: np.ndarray, init_step: int, out: np.ndarray, edge: np.ndarray) -> None:
    rows, matrix, start = _unpacked(x, n_rows, row_step, taps, tap_step, tap_length, w, n_out, init, init_step)
    out.reshape(n_rows, n_out)[:] = start + rows @ matrix


def _gemm_unfused_naive(x: np.ndarray, n_rows: int, row_step: int, taps: int, tap_step: int, tap_length: int,
                        w: np.ndarray, n_out: int, init: np.ndarray, init_step: int, out: np.ndarray,
                        edge: np.ndarray) -> None:
    rows, matrix, start = _unpacked(x, n_rows, row_step, taps, tap_step, tap_length, w, n_out, init, init_step)
    out = out.reshape(n_rows, n_out)
    out[:] = start
    for k in range(taps * tap_length):
        out += rows[:, k:k + 1] * matrix[k]


def _unpacked(x: np.ndarray, n_rows: int, row_step: int, taps: int, tap_step: int, tap_length: int, w: np.ndarray,
              n_out: int, init: np.ndarray, init_step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = unpack(PackedMatrix(taps * tap_length, n_out, w))
    rows = as_strided(x, (n_rows, taps, tap_length), (4 * row_step, 4 * tap_step, 4)).reshape(n_rows, len(matrix))
    return rows, matrix, as_strided(init, (n_rows, n_out), (4 * init_step, 4))


def _loop(x: np.ndarray, n_rows: int, row_step: int, taps: int, tap_step: int, tap_length: int, w: np.ndarray,
          n_out: int, init: np.ndarray, init_step: int, out: np.ndarray, edge: np.ndarray) -> None:
    """`gemm` for kernels. edge : float32 [EDGE], room for a tile whose last columns are zero padding."""
    block = max(1, _BLOCK // max(1, row_step * ROWS)) * ROWS  # rows of x that stay in cache for all panels
    depth = _DEPTH if taps == 1 and n_rows > ROWS else tap_length
    for first_row in range(0, n_rows, block):
        end_row = min(first_row + block, n_rows)
        panel_at = 0
        for column in range(0, n_out, 2 * WIDTH):
            width = 2 * WIDTH if n_out - column > WIDTH else WIDTH
            columns = min(width, n_out - column)
            for k in range(0, tap_length, depth):
                deep = min(depth, tap_length - k)
                before, before_step = (init, init_step) if k == 0 else (out, n_out)  # where the sums stand
                row = first_row
                while row < end_row:
                    rows = 2 * ROWS if width == WIDTH and end_row - row >= 2 * ROWS else rows_at_once(end_row - row)
                    if columns == width:
                        start, start_at, start_step = before, row * before_step + column, before_step
                        result, result_at, result_step = out, row * n_out + column, n_out
                    else:
                        for r in range(rows):
                            for j in range(columns):
                                edge[r * width + j] = before[(row + r) * before_step + column + j]
                            for j in range(columns, width):
                                edge[r * width + j] = 0
                        start, start_at, start_step = edge, 0, width
                        result, result_at, result_step = edge, 0, width
                    run_tile(rows, width, x, row * row_step + k, row_step, taps, tap_step, deep, w,
                             panel_at + k * width, start, start_at, start_step, result, result_at, result_step)
                    if columns < width:
                        for r in range(rows):
                            for j in range(columns):
                                out[(row + r) * n_out + column + j] = edge[r * width + j]
                    row += rows
            panel_at += taps * tap_length * width


_SIGNATURE = "void(f4[::1], i8, i8, i8, i8, i8, f4[::1], i8, f4[::1], i8, f4[::1], f4[::1])"
gemm_run = kernel(_SIGNATURE, twin=_gemm_naive)(variant(_loop, "gemm_run"))
_gemm_unfused = kernel(_SIGNATURE, twin=_gemm_unfused_naive)(
    variant(_loop, "_gemm_unfused", run_tile=run_tile_unfused))
