"""What a network is made of: layers that run on a whole signal or step through it piece by piece.

    layer            what every layer can do
    activation       ELU, sigmoid and tanh from one exponential
    norm             weight norm and group norm
    conv             padding and convolution
    conv_transpose   transposed convolution
    residual         the residual block, a few rows at a time
    lstm             the two-layer LSTM with its skip connection
    stack            layers in a row, one after the other
    tiles            a stack fed in tiles that fit the processor's cache, by several threads

Imports `kernels` and `system`.
"""
