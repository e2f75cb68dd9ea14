"""Official weights into the store: resumed, checked by hash, converted, and installed whole or not at all.

    local_files   weights that are on this machine already
    download      one large file over HTTP
    install       a model folder put in place in one step
    fetch         all of it

Imports `models` and `system`.
"""
