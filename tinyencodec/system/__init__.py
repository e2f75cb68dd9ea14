"""Files, signals, processes, the terminal and the compiler: all that is not about sound.

    errors             how messages are worded
    untrusted          how much of a stranger's file is believed
    files              atomic writes, of files and folders; hashes
    folders            where caches lie
    safetensors_file   safetensors files from strangers
    model_files        names of the files in a model folder
    signals            Ctrl-C and SIGTERM at awkward moments
    stdio              standard input and output as bytes
    lock               one process at a time
    inputs             files, folders and glob patterns
    progress           the progress bar
    workers            a pool of worker processes; the number of processors
    threads            stages of work, each with a thread of its own
    compiler/          from a loop in Python to machine code, kept on disk
    version            the version

Imports nothing else of the package.
"""
