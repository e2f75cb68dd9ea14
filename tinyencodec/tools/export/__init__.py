"""A model as ONNX graphs, which run without this package: on phones, in browsers, in other languages.

    graph     a graph that grows operator by operator
    layers    what each layer of a network becomes
    codec     encoder and decoder: whole, or piece by piece
    files     the folder of graphs, checked, and what they say about themselves

Needs the extra `onnx`.
"""
