"""`tinyencodec convert SRC DEST`: weights from elsewhere, or a model by name, to a model folder (`models.convert`)."""

import argparse
from pathlib import Path

EXAMPLES = """
tinyencodec convert encodec_24khz-d7cc33bc.th encodec_24khz
tinyencodec convert --half hub/encodec_48khz/ encodec_48khz    # half the size
# and its language model, for --lm
tinyencodec convert encodec_lm_24khz-1608e3c0.th encodec_24khz/lm
tinyencodec -m ./encodec_24khz song.mp3
# a bundled or fetched one, for transformers.EncodecModel.from_pretrained
tinyencodec convert tiny_24khz tiny
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("src", metavar="SRC", type=Path,
                        help="official .th file, Hub folder or .safetensors file, training checkpoint, or the name of "
                        "a bundled or fetched model")
    parser.add_argument("dest", metavar="DEST", type=Path, help="new folder; its name becomes the model's")
    parser.add_argument("--half", action="store_true", help="store float16: half the size")


def run(args: argparse.Namespace) -> None:
    """Convert, and tell what it was. Raises as `models.convert.convert`."""
    from tinyencodec.lm.config import LMConfig
    from tinyencodec.models.convert import convert

    config = convert(args.src, args.dest, half=args.half, tell=print)
    what = f"language model, {config.n_layers} layers" if isinstance(config, LMConfig) else \
        f"{config.sampling_rate} Hz, {config.audio_channels} channel(s)"
    print(f"{args.dest}: {what}, {config.n_codebooks} codebooks of {config.codebook_size}")
