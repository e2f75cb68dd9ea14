"""Better codes than the nearest ones, for the same decoder.

    beam   codes of a frame chosen together, rather than one after the other
    rate   the same with the bits that they cost

Imports `kernels` and `system`.
"""
