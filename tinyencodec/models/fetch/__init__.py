"""Official weights into the store: from the network or from files at hand.

    local_files   weights that are on this machine already
    download      one large file over HTTP
    install       `fetch_model`: get the weights, convert them, put the model in its place

Imports `models` and `system`.
"""
