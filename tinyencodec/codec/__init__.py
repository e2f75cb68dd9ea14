"""The codec itself, from samples to codes and back, in the order in which to read it.

    config      the hyperparameters, as `config.json` tells them
    seanet      residual block, encoder, decoder
    rvq         residual vector quantisation
    segments    windows of one second and their cross-fade, for the 48 kHz model
    network     the three parts, and what each accepts
    streaming   the codec piece by piece
    model       the codec in one object

Imports `kernels`, `layers` and the checks of `system`.
"""
