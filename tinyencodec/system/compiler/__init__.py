"""From a loop in Python to machine code that the next program loads without a compiler.

    jit          a kernel: compiled when it is first called, or replaced by its twin without a compiler
    cache        object files on disk, checked, and loaded into memory
    processor    how wide its vectors are, and how many it holds
    tile_code    the instructions of the matrix product's tile
    object_file  Numba and LLVM make an object file of a loop

Imports `system` only.
"""
