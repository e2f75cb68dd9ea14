"""The hot loops, each private and beside a naive NumPy twin that says what it computes.

    tile   a small block of a matrix product, held in registers
    gemm   the matrix product made of such tiles, with a fixed order of summation

Imports `system` only.
"""
