"""Sound to bytes and back: the `.ecdc` formats, and codes as arrays.

    bits           codes of a fixed width, packed
    header         the beginning of a file
    coders         fixed width, tables or language model behind one interface
    packets        the streamed form, for pipes
    block_layout   blocks with checksums: what is in them
    block_search   the next good block after damage
    block_io       blocks written and read
    container      the whole file
    describe       what `info` tells of a file
    compression    sound to bytes, in one call or as a stream
    codes_arrays, codes_file   codes as `.npz` and `.safetensors`

Imports `models`, `lm`, `entropy`, `codec` and `system`.
"""
