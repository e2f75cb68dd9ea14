"""Sound of unknown length: the official program reads the file, spaces and all."""

import io

import numpy as np
import pytest

from tinyencodec.ecdc.compression import compress, compress_stream, decompress

from .compare import AUDIO_ERROR, peak_error
from .models import CONFIGS, oracle, oracle_can, ours, signal
from .oracles import official_ecdc
from .test_ecdc import official_decompress, official_reads


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
@pytest.mark.parametrize("n_samples", [1, 24_001, 60_321])
def test_official_reader_accepts_a_length_with_spaces(monkeypatch, name, n_samples):
    assert oracle_can("encodec", CONFIGS[name], n_samples) and official_reads(CONFIGS[name], n_samples)
    monkeypatch.setitem(official_ecdc.MODELS, name, lambda: oracle("encodec", name).model)
    model, wav, out = ours("encodec", name), signal(CONFIGS[name], n_samples), io.BytesIO()
    compress_stream(model, np.array_split(wav, 7, axis=1), out, 6.0)
    assert b'"al": %-19d, "nc"' % n_samples in out.getvalue()
    expected = official_decompress(compress(model, wav, 6.0))
    assert expected.shape == wav.shape
    assert np.array_equal(official_decompress(out.getvalue()), expected)
    assert peak_error(decompress(out.getvalue(), model)[0], expected) <= AUDIO_ERROR
