"""The arguments of `tinyencodec [options] INPUT [OUTPUT]`, in groups, and examples; what they do is in `cli_code`."""

import argparse

from tinyencodec.codec.config import USUAL_BANDWIDTH
from tinyencodec.ecdc.header import SUFFIX
from tinyencodec.version import __version__

SUMMARY = f"Neural audio codec: compress an audio file, decompress an {SUFFIX} file, or both."
EXAMPLES = """
tinyencodec speech.flac                    # -> speech.ecdc, at 6 kbit/s
tinyencodec -b 3 song.mp3 small.ecdc       # half of that
tinyencodec small.ecdc song.wav            # and back
tinyencodec -b 1.5 song.mp3 heard.wav      # both at once
tinyencodec --lm song.mp3                  # smaller, by the language model
tinyencodec bad.ecdc out.wav --keep-going  # what is left of a damaged file
# Live, from the microphone to the loudspeaker:
arecord -f S16_LE -r 24000 -t raw |
  tinyencodec --raw s16le --rate 24000 --channels 1 - - |
  tinyencodec - - | aplay
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the program without a command."""
    from tinyencodec.ecdc.block_io import KEEP_GOING

    parser.usage = "tinyencodec [options] INPUT [OUTPUT]\n       tinyencodec COMMAND ..."
    add = parser.add_argument_group("files").add_argument
    add("input", metavar="INPUT",
        help=f"audio file to compress, or {SUFFIX} file to decompress; -: standard input, either of them")
    add("output", metavar="OUTPUT", nargs="?",
        help=f"{SUFFIX} or audio file (.wav, .flac, .ogg); audio to audio does both; -: standard output, {SUFFIX} when "
             f"compressing, WAV when decompressing. Default: INPUT with the suffix {SUFFIX}, INPUT_decompressed.wav, "
             "or - for -")

    declare_coding(parser)
    add = parser.add_argument_group("output").add_argument
    add("-f", "--force", action="store_true", help="overwrite OUTPUT if it exists")
    add("-r", "--rescale", action="store_true", help="scale the decompressed sound down rather than clip it")
    add("-s", "--decompress_suffix", metavar="SUFFIX", default="_decompressed",
        help="for the default name of a decompressed file; default: %(default)s")

    add = parser.add_argument_group("raw sound").add_argument
    add("--raw", choices=("s16le", "f32le"),
        help="the sound is raw PCM, of 16-bit integers or 32-bit floats: INPUT when compressing, else OUTPUT")
    add("--rate", metavar="HZ", type=int, help="sample rate of raw INPUT in Hz; default: the model's")
    add("--channels", metavar="C", type=int, help="channels of raw INPUT; default: the model's")

    add = parser.add_argument_group("damaged or renamed files").add_argument
    add("--keep-going", nargs="?", choices=KEEP_GOING, const=KEEP_GOING[0],
        help="decompress what is undamaged of a file with checksums, and tell what is not: it becomes a repetition of "
             "what came before (the default), or silence. Place it after INPUT")
    add("--decompress", action="store_true", help=f"INPUT is an {SUFFIX} file, whatever its name")

    add = parser.add_argument_group("machine").add_argument
    add("--threads", metavar="N", type=int, help="at most so many work at once; default: one per processor")
    add("--version", action="version", version=f"tinyencodec {__version__}",
        help="show the version and stop")


def declare_coding(parser: argparse.ArgumentParser) -> None:
    """The arguments that tell how sound is coded, here and in other commands."""
    from tinyencodec.ecdc.block_layout import BLOCK_SECONDS

    group = parser.add_argument_group("coding")
    add = group.add_argument
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help=f"kbit/s, one of the model's; default: {USUAL_BANDWIDTH:g} or the nearest it has")
    which = group.add_mutually_exclusive_group()
    which.add_argument("-q", "--hq", action="store_true", help="compress with the 48 kHz stereo model, tiny_48khz")
    which.add_argument("-m", "--model", metavar="MODEL",
                       help="name or folder of the model; default: the bundled one, or the one that made the file")
    coder = group.add_mutually_exclusive_group()
    coder.add_argument("--entropy", choices=("none", "table", "lm"), help="smaller files for tinyencodec only, with "
                       "checksums: by the model's tables, or by its language model (smaller still, slower); default: "
                       "none, a file that the official program reads")
    coder.add_argument("-l", "--lm", dest="entropy", action="store_const", const="lm", help="--entropy lm")
    add("--protect", action="store_true", help="with checksums, also without --entropy")
    add("--block", metavar="SECONDS", type=float,
        help=f"sound that is coded, and lost, together, in files with checksums; default: {BLOCK_SECONDS:g}")
