"""Fitting tables to recordings, from the command line; needs no PyTorch."""

import json

import numpy as np
from safetensors.numpy import save_file

from tinyencodec.audio.files import read_audio, write_audio
from tinyencodec.codec.config import CodecConfig
from tinyencodec.entropy.tables import load_tables, tables_id
from tinyencodec.models.store import DEFAULT_MODEL, load_model
from tinyencodec.models.tensors import expected_tensors
from tinyencodec.train import tables
from tinyencodec.train.tables import count_codes, fit_tables


def test_fit_from_the_command_line(tmp_path, capsys):
    """The tables are those of the codes that the model gives to the recordings at its highest bandwidth."""
    config = CodecConfig(num_filters=4, hidden_size=8, codebook_size=16, upsampling_ratios=(4, 2), sampling_rate=800,
                         target_bandwidths=(0.4, 0.8, 1.6))
    random, folder = np.random.default_rng(0), tmp_path / "small"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file({name: random.standard_normal(shape).astype(np.float32)
               for name, shape in expected_tensors(config).items()}, folder / "model.safetensors")
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for file, seconds in zip(files, (3, 5)):
        write_audio(file, 0.3 * random.standard_normal((1, 800 * seconds)).astype(np.float32), 800)

    assert tables.main([str(folder), *map(str, files)]) == 0
    lengths = load_tables(folder)
    assert tables_id(lengths) in capsys.readouterr().out and lengths.shape == (load_model(folder).n_codebooks, 16)
    model = load_model(folder)
    codes = np.concatenate([model.encode(read_audio(file, 800, 1), 1.6)[0].codes for file in files], axis=1)
    assert (fit_tables(count_codes(codes, 16)) == lengths).all()

    before = (folder / "tables.safetensors").read_bytes()
    for arguments in ([folder, tmp_path / "none.wav"], [folder, folder / "config.json"], [tmp_path, files[0]],
                      [DEFAULT_MODEL, files[0]]):
        assert tables.main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("python -m tinyencodec.train.tables: ") and error.count("\n") == 1
    assert (folder / "tables.safetensors").read_bytes() == before
