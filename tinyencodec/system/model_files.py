"""What the files of a model folder are called: said here, below all that read or write one."""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHT_FILES = (WEIGHTS, f"{WEIGHTS}.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")  # as on the Hub
TABLES = "tables.safetensors"  # for `entropy.tables`
LM = "lm"  # folder of the language model: its own `config.json` and `model.safetensors`
