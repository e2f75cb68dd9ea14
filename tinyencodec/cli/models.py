"""`tinyencodec models` lists the models."""

import argparse
import json

EXAMPLES = """
tinyencodec models
tinyencodec models --json | jq -r '.[].name'       # for programs: sizes in bytes, rates in kbit/s
TINYENCODEC_HOME=/data/models tinyencodec models   # another place for fetched models
"""
_HEADINGS = ("NAME", "WHERE", "SIZE", "SOUND", "KBIT/S", "WITH", "LICENCE OF WEIGHTS")


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models`."""
    parser.add_argument("--json", action="store_true", help="print a JSON list, for programs")


def run(args: argparse.Namespace) -> None:
    """Print the list."""
    from tinyencodec.models.listing import describe_models
    from tinyencodec.models.store import DEFAULT_MODEL, home
    from tinyencodec.tools.reporting import text_table

    models = describe_models()
    if args.json:
        print(json.dumps(models, indent=2))
        return
    print(*text_table([_HEADINGS, *map(_row, models)], left=len(_HEADINGS)), sep="\n", end="\n\n")
    for model in models:
        if model["problem"]:
            print(f"{model['name']} is damaged: {model['problem']}")
    print(f"{DEFAULT_MODEL} is used where no model is named.")
    print("`tinyencodec fetch NAME` gets a fetchable one, with its language model (LM) if it has one.")
    try:
        print(f"Fetched models lie in {home() / 'models'} (TINYENCODEC_HOME sets another place).")
    except OSError as error:
        print(f"No models can be fetched: {error}.")


def _row(model: dict) -> tuple[str, ...]:
    """The cells of one model's line."""
    megabytes = model["bytes"] / 1e6
    cells = model["name"], model["where"], f"{megabytes:.{0 if megabytes >= 10 else 1}f} MB"
    if "channels" not in model:
        return *cells, "damaged", "", "", model["licence"]
    sound = f"{model['sample_rate'] / 1000:g} kHz {'stereo' if model['channels'] == 2 else 'mono'}"
    rates = " ".join(f"{rate:g}" for rate in model["bandwidths"])
    extras = " ".join(word for word, there in (("tables", model["tables"]), ("LM", model["language_model"])) if there)
    return *cells, sound, rates, extras or "-", model["licence"]
