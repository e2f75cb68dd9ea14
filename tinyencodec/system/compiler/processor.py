"""What the processor has: its vector registers, and the tile (`kernels.tile`) that fits into them."""

import os

import llvmlite.binding


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
