"""Sound in and out, block by block, from files and pipes.

    pcm           samples as plain bytes
    headers       what stands before them in WAV, AIFF, AU, CAF, ... files
    resample      from one sample rate to another, piece by piece
    library       sound through libsndfile, read until the decoder says that it ends
    mpeg_frames   where the streams of an MP3 file begin, and how long they are
    ogg_pages     the same for Ogg
    flac_frames   the same for FLAC
    behind        what stands behind the samples of a file: chunks, another file, samples that nobody counted
    parts         Ogg, FLAC and MPEG streams, each by itself
    sources       what reads a file, found by its content
    reader        any sound, as blocks at a given rate and number of channels
    writer        blocks into a file or a pipe
    files         whole files in one call

Imports `kernels` and `system` only.
"""
