"""Sound in and out, block by block, from files and pipes.

    pcm        raw samples and WAV headers
    resample   from one sample rate to another, piece by piece
    reader     any sound, as blocks at a given rate and number of channels
    writer     blocks into a file or a pipe
    files      whole files in one call

Imports `system` only.
"""
