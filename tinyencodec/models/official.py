"""The official checkpoints: where they are published, how to tell that a file is one of them, and under what terms.

Of some hashes only a part is known. The official package names its files by the first 8 hex digits of their
SHA-256. That is enough to find a damaged file but not a forged one: against forgery there is only HTTPS. Two files are
known in full, one of them from its entry in the Hub's Git LFS. Nothing here uses the network; `fetch` does.
"""

from typing import NamedTuple

from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_32KHZ, ENCODEC_48KHZ, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig

TERMS = "LICENCE.txt"  # of a fetched model, in its folder: `statement`, and where the weights are from
_HUB_32KHZ = "https://huggingface.co/facebook/encodec_32khz/resolve/4966e19f4931abbc51c4bfb92ae06bdcb53b392e/"


class OfficialFile(NamedTuple):
    """One file with the weights of a codec or of a language model."""

    name: str  # in the cache, and below the address of a mirror
    url: str
    sha256: str  # in hex: all 64 digits, or as many of the first ones as are known
    config: CodecConfig | LMConfig
    size: int  # bytes; for three of the files an estimate from their tensors, right to about a hundredth


class Official(NamedTuple):
    """One model that can be fetched."""

    files: dict[str, OfficialFile]  # "codec" and, if there is a language model, "lm"
    licence: str  # in a few words
    statement: str  # in a few sentences, each of which can be looked up


_CODE = "The EnCodec code by Meta is under the MIT licence."
_ASIDE = ("The weights are not part of tinyencodec. Fetching them gives no right to pass them on: the terms are those "
          "of the source.")


def _meta(name: str, sha256: str, config: CodecConfig | LMConfig, size: int) -> OfficialFile:
    return OfficialFile(name, f"https://dl.fbaipublicfiles.com/encodec/v0/{name}", sha256, config, size)


OFFICIAL = {
    "encodec_24khz": Official(
        {"codec": _meta("encodec_24khz-d7cc33bc.th", "d7cc33bcf1aad7f2dad9836f36431530744abeace3ca033005e3290ed4fa47bf",
                        ENCODEC_24KHZ, 93_171_529),
         "lm": _meta("encodec_lm_24khz-1608e3c0.th", "1608e3c0", LM_PRESETS["encodec_lm_24khz"], 62_300_000)},
        "not stated (code: MIT)",
        f"{_CODE} For these weights no licence is stated: not on their card on the Hugging Face Hub "
        "(facebook/encodec_24khz), and the question in the code's issues 49 and 69 had no answer when this was "
        f"written. {_ASIDE}"),
    "encodec_48khz": Official(
        {"codec": _meta("encodec_48khz-7e698e3e.th", "7e698e3e", ENCODEC_48KHZ, 76_300_000),
         "lm": _meta("encodec_lm_48khz-7add9fc3.th", "7add9fc3", LM_PRESETS["encodec_lm_48khz"], 36_000_000)},
        "MIT by its Hub card",
        f"{_CODE} The card of this model on the Hugging Face Hub (facebook/encodec_48khz) names MIT since September "
        "2023; of the language model it says nothing, and the question about the weights in the code's issue 69 had "
        f"no answer when this was written. {_ASIDE}"),
    "encodec_32khz": Official(
        {"codec": OfficialFile("encodec_32khz-0e78f34d.safetensors", f"{_HUB_32KHZ}model.safetensors",
                               "0e78f34d2ff3259f29bd51f7a99060151fe4ba5776fee216f58847f06082f1ca", ENCODEC_32KHZ,
                               235_972_432)},
        "not stated (MusicGen: CC-BY-NC)",
        "This codec was trained for MusicGen. Its card on the Hugging Face Hub (facebook/encodec_32khz) states no "
        "licence; the weights of MusicGen, of which it is a part, are published under CC-BY-NC 4.0, which excludes "
        f"commercial use. {_CODE} {_ASIDE}"),
}
