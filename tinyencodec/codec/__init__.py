"""The codec itself, from samples to codes and back, in reading order.

    config      the hyperparameters, read from `config.json` and checked
    seanet      encoder and decoder
    rvq         residual vector quantisation
    network     the three parts, and what each accepts
    segments    windows of one second, coded one by one and cross-faded, for the 48 kHz model
    streaming   the codec piece by piece
    model       the codec in one object

Imports `kernels`, `layers`, `search` and the checks of `system`.
"""
