"""The committed fixtures in tests/golden are what the oracles make of the committed weights."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from .compare import peak_error
from .make_golden import CASES, GOLDEN, build, expected


def test_every_case_is_there():
    assert sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_fixture(name):
    _, config, lengths = CASES[name]
    folder = GOLDEN / name
    assert json.loads((folder / "config.json").read_text()) == config.to_dict()
    reference = build(name).load(load_file(folder / "model.safetensors"))
    committed = load_file(folder / "expected.safetensors")
    seen = set()
    for n in lengths:
        for key, value in expected(reference, committed[f"{n}.wav"]).items():
            seen.add(f"{n}.{key}")
            stored = committed[f"{n}.{key}"]
            if key in ("latents", "audio", "scales"):  # this machine may round otherwise than the one that wrote them
                assert peak_error(stored, value) <= 1e-5, f"{n}.{key}"
            elif key == "ecdc" and config.normalize:  # holds the scales
                assert len(stored) == len(value)
            else:
                np.testing.assert_array_equal(stored, value, err_msg=f"{n}.{key}")
    assert seen == committed.keys()
