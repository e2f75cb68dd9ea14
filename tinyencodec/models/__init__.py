"""Models by name or folder, and weights from elsewhere.

    official      the official checkpoints: addresses, hashes, licences
    plainpickle   a pickle reader that can call nothing
    torchfile     PyTorch's files without PyTorch
    int8_rows     matrices in 8 bits, a scale for each row
    weight_files  one file of weights, or shards and their index
    state_dict    the weights in a file, whatever wraps them
    tensors       names and shapes of a model's tensors
    store         where models live, and how to load one, or a language model
    convert       any weights into a model folder
    download      one large file over HTTP
    fetch         official weights, over the network or from local files
    listing       which models there are

Imports `codec`, `lm`, `entropy` and `system`.
"""
