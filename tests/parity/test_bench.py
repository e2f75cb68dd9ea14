"""The benchmark's peers do the work they are timed for: as many codes as ours, and as much sound."""

from pathlib import Path

import numpy as np
import pytest

from tinyencodec.tools.bench.peers import CannotRun, find_peer
from tinyencodec.tools.bench.subject import make_subject, sound


@pytest.mark.parametrize("model", ["encodec_24khz", "encodec_48khz"])
@pytest.mark.parametrize("peer", ["encodec", "transformers", "onnxruntime"])
def test_peer_does_the_same_work(peer, model, tmp_path):
    subject = make_subject(model, Path(tmp_path))
    seconds = 0.5
    wav = sound(subject.model, seconds)
    frames = subject.model.encode(wav, subject.model.usual_bandwidth)
    try:
        found = find_peer(peer)
        found.check(subject.model.config)
        contestant = found.contestant(subject, seconds, 1)
    except CannotRun as reason:
        pytest.skip(str(reason))
    contestant.set_threads(1)
    codes = contestant.encode(wav)
    if peer == "encodec":
        codes = codes[0][0]
    elif peer == "transformers":
        codes = codes.audio_codes
    codes = np.asarray(codes)
    rows = codes.reshape(-1, codes.shape[-1])
    assert rows.shape[0] == frames[0].codes.shape[0]
    assert rows.shape[1] >= frames[0].codes.shape[1]  # transformers fills up the last segment
    assert len(np.unique(codes)) > 5
    decoded = contestant.decode(frames)
    decoded = np.asarray(decoded[0])
    assert decoded.reshape(-1, decoded.shape[-1]).shape[0] == wav.shape[0] and decoded.shape[-1] >= wav.shape[1]
    assert decoded.std() > 0
