"""From a loop in Python to machine code that the next program loads without a compiler.

    object_file  Numba and LLVM make an object file of a loop
    cache        object files on disk, checked, and loaded into memory

Imports `system` only.
"""
