"""`tinyencodec export`: the graphs, run by onnxruntime, give what the package gives."""

import os
import re

import numpy as np
import pytest

import tinyencodec
from tests.helpers.models import SHAPES, save_model
from tests.helpers.paths import DATA, GOLDEN, ROOT
from tests.helpers.program import run

onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
from tinyencodec.tools.export.codec import decoder_graph, encoder_graph, streams  # noqa: E402  (needs onnx)
from tinyencodec.tools.export.files import export  # noqa: E402

LENGTHS = (1, 2, 3, 7, 16, 17, 319, 320, 321, 5000)
compiled = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"),
                              reason="takes minutes on the twins")
PAGE = (ROOT / "tutorials" / "export.md").read_text()
STREAMING, SEGMENTS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


def session(graph):
    """A graph, or the path of one, ready to run on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    data = graph.SerializeToString() if isinstance(graph, onnx.ModelProto) else str(graph)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def noise(model, samples):
    return np.random.default_rng(samples).uniform(-0.5, 0.5, (model.channels, samples)).astype(np.float32)


def check_segment(model, encoder, decoder, wav, every=1):
    """A sound [C, T] through the package and through the graphs; of several segments the first."""
    (codes, scale), *_ = model.encode(wav, model.bandwidths[-1])
    got, *told = encoder.run(None, {"audio": wav[None]})
    assert got.dtype == np.int64 and got.shape == codes.shape
    assert np.mean(got == codes) >= 0.999
    given = {"codes": codes.astype(np.int64)}
    if scale is not None:
        given["scale"] = np.array([scale], np.float32)
        np.testing.assert_allclose(told, [given["scale"]], rtol=1e-6)
    for k in range(1, len(codes) + 1, every):
        heard = decoder.run(None, given | {"codes": given["codes"][:k]})[0]
        expected = model.decoder(model.quantizer.decode(codes[:k])).T * np.float32(1 if scale is None else scale)
        assert heard.dtype == np.float32 and heard.shape == (1, *expected.shape)
        peak = max(1e-2, np.abs(expected).max())  # of faint sound, the rounding is that of what is inside the network
        assert np.abs(heard[0] - expected).max() <= 1e-5 * peak


@pytest.mark.parametrize("shape", [*SHAPES, *(GOLDEN / name for name in ("dilated", "identity_skip", "uneven"))],
                         ids=lambda shape: str(getattr(shape, "name", shape)))
def test_whole_signals_of_any_length(shape, models):
    model = models[shape] if shape in models else tinyencodec.load_model(shape)
    encoder, decoder = session(encoder_graph(model)), session(decoder_graph(model))
    for samples in sorted({min(samples, model.segment_length or samples) for samples in LENGTHS}):
        check_segment(model, encoder, decoder, noise(model, samples))


def test_a_code_of_minus_one_adds_nothing(models):
    model = models["causal"]
    codes = model.encode(noise(model, 500), 1.6)[0].codes.astype(np.int64)
    codes[1] = -1
    z = sum(model.quantizer.codebooks[k][codes[k]] for k in range(len(codes)) if k != 1)
    heard = session(decoder_graph(model)).run(None, {"codes": codes})[0]
    np.testing.assert_allclose(heard[0], model.decoder(z).T, atol=1e-6 * np.abs(heard).max())


def start(graph):
    return {each.name: np.zeros([n if isinstance(n, int) else 0 for n in each.shape], np.float32)
            for each in graph.get_inputs() if each.name.startswith("state.")}


def in_steps(graph, name, whole, sizes):
    """The results for pieces of these sizes, the rest in the last one, side by side."""
    state, parts = start(graph), []
    for piece in np.split(whole, np.cumsum(sizes), axis=-1):
        result, *after = graph.run(None, {name: piece, **state})
        parts.append(result)
        state = dict(zip(state, after))
    return np.concatenate(parts, axis=-1)


@pytest.mark.parametrize("shape", ["causal", "zeros"])
@pytest.mark.parametrize("rest", [0, 1, 5])
def test_streaming_equals_the_whole(shape, rest, models):
    model = models[shape]
    encoder, decoder = (session(make(model, streaming=True)) for make in (encoder_graph, decoder_graph))
    hop, told = model.hop_length, encoder.get_modelmeta().custom_metadata_map
    first, rng = int(told["first_frames"]), np.random.default_rng(rest)
    assert (first - 1) * hop < model.encoder_delay <= first * hop
    wav = noise(model, (first + 40) * hop + rest)
    whole = session(encoder_graph(model)).run(None, {"audio": wav[None]})[0]
    sizes = [first, *rng.integers(1, 4, 12), 1, 1, 1]
    codes = in_steps(encoder, "audio", wav[None], hop * np.array(sizes))
    assert np.array_equal(codes, whole)
    heard = in_steps(decoder, "codes", codes, sizes)
    expected = session(decoder_graph(model)).run(None, {"codes": codes})[0]
    assert np.abs(heard - expected).max() <= 1e-6 * np.abs(expected).max()


def test_a_stream_may_be_shorter_than_its_start(models):
    model = models["causal"]
    graph, whole = session(encoder_graph(model, streaming=True)), session(encoder_graph(model))
    for samples in (1, 7, 20):
        wav = noise(model, samples)[None]
        assert np.array_equal(in_steps(graph, "audio", wav, []), whole.run(None, {"audio": wav})[0])


def test_who_streams(models):
    assert [shape for shape in SHAPES if streams(models[shape])] == ["causal", "zeros"]


def test_the_same_operators_for_everybody(models):
    """Only standard ones; as many as the page says."""
    kinds = {node.op_type for model in models.values() for streaming in {False, streams(model)}
             for make in (encoder_graph, decoder_graph) for node in make(model, streaming=streaming).graph.node}
    assert f"needs {len(kinds)} of them" in " ".join(PAGE.split()), sorted(kinds)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folders with the graphs of the bundled models, as the page calls them, and one in float16."""
    folder = tmp_path_factory.mktemp("exported")
    for name, argv in (("graphs", []), ("graphs48", ["--hq"]), ("half", ["--half"])):
        assert run("export", *argv, folder / name) == 0
    return folder


@compiled
@pytest.mark.parametrize("sound", ["speech", "guitar", *(1, 319, 320, 321, 5000, 100_003)])
def test_bundled_model(sound, exported):
    model = tinyencodec.load_model()
    wav = noise(model, sound) if isinstance(sound, int) else \
        tinyencodec.read_audio(DATA / f"{sound}.flac", model.sample_rate, model.channels)
    check_segment(model, *(session(exported / "graphs" / f"{name}.onnx") for name in ("encoder", "decoder")), wav,
                  every=15)


@compiled
@pytest.mark.parametrize("sound", ["guitar", 1, 320, 47_521, 100_003])
def test_cutting_and_cross_fading_as_on_the_page(sound, exported, monkeypatch):
    monkeypatch.chdir(exported)
    page: dict = {}
    exec(SEGMENTS, page)
    model = tinyencodec.load_model("tiny_48khz")
    wav = noise(model, sound) if isinstance(sound, int) else \
        tinyencodec.read_audio(DATA / "guitar.flac", model.sample_rate, model.channels)[:, :150_000]
    frames, expected = page["encode"](wav), model.encode(wav, model.bandwidths[-1])
    assert [codes.shape for codes, _ in frames] == [codes.shape for codes, _ in expected]
    assert np.mean([np.mean(codes == wanted) for (codes, _), (wanted, _) in zip(frames, expected)]) >= 0.999
    frames = [(codes.astype(np.int64), np.array([scale], np.float32)) for codes, scale in expected]
    heard, expected = page["decode"](frames), model.decode(expected)
    assert heard.shape == expected.shape and np.abs(heard - expected).max() <= 1e-4 * np.abs(expected).max()


@compiled
def test_streaming_as_on_the_page(exported, monkeypatch):
    monkeypatch.chdir(exported)
    page: dict = {}
    exec(STREAMING, page)
    model = tinyencodec.load_model()
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1, 40 * model.hop_length)).astype(np.float32)[0]
    [(codes, _)] = model.encode(wav, model.bandwidths[-1])
    assert np.mean(np.concatenate(page["coded"], axis=1) == codes) >= 0.999
    heard, expected = np.concatenate(page["heard"], axis=2)[0], model.decode([(codes, None)])
    assert page["first"] == 7 and np.abs(heard - expected).max() <= 1e-5 * np.abs(expected).max()


@compiled
def test_half_the_size_and_nearly_the_same_sound(exported):
    whole, half = exported / "graphs", exported / "half"
    assert sorted(path.name for path in half.iterdir()) == [
        "decoder.onnx", "decoder_stream.onnx", "encoder.onnx", "encoder_stream.onnx"]
    for path in half.iterdir():
        assert 0.5 < path.stat().st_size / (whole / path.name).stat().st_size < 0.53
    wav = tinyencodec.read_audio(DATA / "speech.flac", 24_000, 1)[None]
    codes, fewer = (session(folder / "encoder.onnx").run(None, {"audio": wav})[0] for folder in (whole, half))
    assert np.mean(codes[0] == fewer[0]) > 0.99
    sound, other = (session(folder / "decoder.onnx").run(None, {"codes": codes})[0] for folder in (whole, half))
    assert 0 < np.square(sound - other).mean() < 1e-5 * np.square(sound).mean()  # 50 dB


def test_what_files_say_about_themselves(here, capsys):
    assert run("export", "-m", "mono", "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and re.fullmatch(r"out/encoder\.onnx: \d\.\d MB", lines[0])
    facts = session(here / "out" / "decoder_stream.onnx").get_modelmeta().custom_metadata_map
    model = tinyencodec.load_model("mono")
    assert facts["weights_sha256"] == tinyencodec.system.files.sha256_of(model.folder / "model.safetensors")
    expected = {"model": "mono", "part": "decoder", "sample_rate": "8000", "channels": "1", "hop_length": "8",
                "bandwidths": "[4.0, 8.0, 16.0]", "licence": "that of its source", "codebooks": "4",
                "codebook_size": "16", "first_frames": str(model.decoder_delay)}
    assert expected == {key: facts[key] for key in expected}
    assert run("export", "-m", "stereo", "two") == 0
    assert sorted(path.name for path in (here / "two").iterdir()) == ["decoder.onnx", "encoder.onnx"]
    assert session(here / "two" / "encoder.onnx").get_modelmeta().custom_metadata_map["segment_stride"] == "1800"


def test_all_or_nothing(here, capsys, monkeypatch):
    large = {"encoder.layers.0.conv.bias": np.array([1e6, 0], np.float32)}
    save_model("large", tensors=large)
    assert run("export", "-m", "./large", "--half", "out") == 2
    assert "expected numbers that are finite in float16" in capsys.readouterr().err
    (here / "used").mkdir()
    (here / "used" / "file").touch()
    assert run("export", "-m", "mono", "used") == 2
    assert f"{here / 'used'}: expected a new or an empty folder to write to, got one in use" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("export", "-m", "mono", "out") == 2
    assert "pip install 'tinyencodec[onnx]'" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["in.wav", "large", "used"]


def test_a_model_without_a_folder(models, tmp_path):
    assert set(export(models["no shortcut"], tmp_path / "out")) == {"encoder.onnx", "decoder.onnx"}
