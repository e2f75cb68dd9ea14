"""The codec itself, from samples to codes and back, in reading order.

    config      the hyperparameters, read from `config.json` and checked
    seanet      encoder and decoder
    rvq         residual vector quantisation: the nearest entry, then the nearest to what is left
    beam        codes of a frame chosen together, rather than one after the other
    network     the three parts, and what each accepts
    segments    windows of one second, coded one by one and cross-faded, for the 48 kHz model
    streaming   the codec piece by piece
    model       the codec in one object

Imports `kernels`, `layers` and `system`.
"""
