"""The language model that guesses the next codes, with the same bits on every machine.

    config         its hyperparameters
    exact          exponentials, sums and norms in an arithmetic fixed to the last bit
    exact_matmul   matrix products in that arithmetic
    attention      attention over a cache of the past
    model          the transformer
    coder          entropy coding by what it expects

Imports `codec`, `entropy`, `kernels` and `system`.
"""
