"""The hot loops, each private and beside a naive NumPy twin that says what it computes.

    jit        a kernel: compiled when it is first called, or replaced by its twin without a compiler
    tile       a small block of a matrix product, held in registers
    gemm       the matrix product made of such tiles, with a fixed order of summation

Imports `compiler` and `system` only.
"""
