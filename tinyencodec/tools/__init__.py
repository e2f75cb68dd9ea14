"""What uses the codec: a file at a time, many files, a corpus; and what measures it.

    many_signals  batches of signals, of different lengths, in one call
    transcode    a file of sound to `.ecdc` and back
    batch/       many files
    tokenize/    a corpus as codes, for language models
    evaluate/    how good it sounds
    compare/     a page to hear and see it
    export/      a model as ONNX graphs
    bench/       how fast it is
    reporting    what their reports share

Imports everything but `cli`. No tool imports another, but `compare` measures with `evaluate`, and `bench` times what
`export` makes.
"""
