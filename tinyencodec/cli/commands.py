"""The commands by name, each of them a module of that name beside this one; `code` is the program without a command.

A command's module has

    EXAMPLES           lines of a shell, for its help
    declare(parser)    adds its arguments
    run(args)          does it, and returns the exit code; None: 0

and is imported when the command is called, or its help or completion is asked for.
"""

from importlib import import_module
from types import ModuleType

from tinyencodec.cli.parser import Parser
from tinyencodec.ecdc.header import SUFFIX

PROGRAM = f"Neural audio codec: compress an audio file, decompress an {SUFFIX} file, or both."
COMMANDS = {
    "info": f"Tell what an {SUFFIX} file holds, without decoding its sound.",
    "batch": "Compress or decompress many files: folders, patterns, several processes.",
    "models": "List the models: bundled, fetched, and those that can be fetched.",
    "fetch": "Fetch official models: download, check and convert them. Or take files that are already here.",
    "convert": "Make a model folder from official, Hub or training weights.",
    "export": "Write a model as ONNX graphs, which run on phones, in browsers and in other languages.",
    "codes": "Turn sound into arrays of codes (.npz, .safetensors), and back; for language models and the like.",
    "bench": "Measure speed, memory and start-up on this machine, also against other programs.",
    "evaluate": "Measure how close models come to the original, also beside Opus and MP3.",
    "compare": "Write a page to hear and see what each bitrate does to a sound.",
    "tokenize": "Code a corpus for language models: safetensors shards and a manifest; also on a cluster.",
    "completion": "Print a script that makes your shell complete commands, options and files.",
}


def module_of(name: str = "") -> ModuleType:
    """The module of a command; without a name, that of the program without one."""
    return import_module(f"tinyencodec.cli.{name or 'code'}")


def parser_of(name: str = "") -> Parser:
    """The parser of a command; without a name, that of the program without one."""
    return Parser(f"tinyencodec {name}".strip(), COMMANDS.get(name, PROGRAM), module_of(name))
