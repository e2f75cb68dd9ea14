"""Files, signals, processes and the terminal: all that is not about sound.

    untrusted   how much of a stranger's file is believed
    signals     Ctrl-C and SIGTERM at awkward moments
    files       atomic writes, of files and folders; hashes
    model_files names of the files in a model folder
    stdio       standard input and output as bytes
    lock        one process at a time
    inputs      files, folders and patterns
    progress    the progress meter
    workers     jobs shared out among processes
    errors      how messages are worded
    safetensors_file   reading strangers' safetensors files

Imports nothing else of the package.
"""
