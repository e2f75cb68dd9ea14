"""From codes to few bits, and back.

    arithmetic            arithmetic coding as one long number: the invariant and the definition
    arithmetic_compiled   the same coder, compiled, for many messages side by side
    tables                how often each codebook uses each entry, as probabilities for the coder
    rate                  beam search that counts the bits of its choices, too

Imports `kernels`, `codec` and `system`.
"""
