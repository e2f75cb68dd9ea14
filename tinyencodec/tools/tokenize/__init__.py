"""`tinyencodec tokenize`: many recordings to codes for audio language models, in shards, on one machine or on many.

In reading order:

    plan      which files, in which order, in which parts
    part      one part of the work: sounds to codes on disk, any of them twice without harm
    crashes   files that processes die of
    shard     parts to shards, manifest, list of errors
    dataset   reading them: `open_dataset`
    build     from files to a dataset, taken up again where it was interrupted
    local     the work on this machine
    cluster   the work on a cluster, through Dask

The dataset depends on the files, the model and the options only: not on how many processes or machines did the work,
which of them died, or how often it was interrupted.
"""

from tinyencodec.tools.tokenize.dataset import TokenDataset as TokenDataset
from tinyencodec.tools.tokenize.dataset import open_dataset as open_dataset
