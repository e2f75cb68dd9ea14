"""An official model of a few numbers: its files, a registry that has it, and a program to fetch it.

    python -m tests.helpers.small_official HOW ARGUMENTS...    what `tinyencodec ARGUMENTS` does

HOW is a JSON object: `url` and `hashes` of the files that are served, and perhaps `deaths`: pairs of a home and a place
where a process that fetches into it is to die. Each is a process of its own; their exit statuses are printed.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from tests.helpers.torch_writer import torch_file
from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.models.official import OFFICIAL, Official, OfficialFile
from tinyencodec.models.tensors import expected_tensors

NAME, CODEC, LM = "small", "small.th", "small_lm.th"
CONFIG = CodecConfig(num_filters=2, hidden_size=4, codebook_size=4, upsampling_ratios=(3, 2), num_lstm_layers=1,
                     target_bandwidths=(8.0, 16.0))
LM_CONFIG = LMConfig(n_codebooks=2, codebook_size=4, dim=4, n_layers=1, n_heads=2, ff_dim=8, past_context=4)


def draw(config, seed=0):
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype("f4") for name, shape in expected_tensors(config).items()}


def write(folder, seed=0):
    """Its two files, as PyTorch writes them."""
    return torch_file(folder / CODEC, draw(CONFIG, seed)), torch_file(folder / LM, draw(LM_CONFIG, seed))


def register(setitem, url, hashes, sizes=(None, None)):
    """Enter the model in the registries; `setitem(mapping, key, value)` may undo it."""
    codec, lm = (OfficialFile(name, f"{url}/official/{name}", sha256, config, size)
                 for name, sha256, config, size in zip((CODEC, LM), hashes, (CONFIG, LM_CONFIG), sizes))
    setitem(OFFICIAL, NAME, Official(codec, lm, "for tests", "These weights are random. Nobody wants them."))
    setitem(PRESETS, NAME, CONFIG)
    setitem(LM_PRESETS, "small_lm", LM_CONFIG)


def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(place):
    """Have the process die at a certain place."""
    from tinyencodec.models import convert
    from tinyencodec.models.fetch import download, install

    def half(url, response):
        yield response.read(response.length // 2)
        die()

    if place == "download":
        download._chunks = half
    elif place == "arrival":
        download.sha256_of = die
    elif place == "conversion":
        convert.save_file = die
    elif place == "before the renaming":
        install._sync = die
    elif place == "between the renamings":
        rename = Path.rename
        Path.rename = lambda self, target: die() if Path(target).parent.name == "models" else rename(self, target)
    elif place == "clearing away":
        install.tidy = die


def fork(home, place, arguments):
    """The exit status of a process that is to die; a fork, as importing takes longest."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.environ["TINYENCODEC_HOME"] = home
    die_at(place)
    sys.exit(cli.main(arguments))


if __name__ == "__main__":
    from tinyencodec.cli import main as cli
    from tinyencodec.models.fetch import fetch  # noqa: F401

    how = json.loads(sys.argv[1])
    register(dict.__setitem__, how["url"], how["hashes"])
    if "deaths" not in how:
        sys.exit(cli.main(sys.argv[2:]))
    statuses = [fork(home, place, sys.argv[2:]) for home, place in how["deaths"]]
    print(json.dumps(statuses))
