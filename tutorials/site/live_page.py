"""The parts of the live page that are not in the repository, put together when the site is built.

In `out/static/live`: the page's own modules, two graphs of the default model in float16, the recordings, and
onnxruntime-web. npm fetches that, as `live/package-lock.json` names it by version and hash. Without npm, or without
a network, the page says what is missing, and all the rest of the site is built.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import tinyencodec

HERE = Path(__file__).resolve().parents[1]
SOURCE, OUT = HERE / "live", HERE / "out"
FOLDER, FRAGMENT = OUT / "static" / "live", OUT / "live.html"
RECORDINGS = [HERE.parent / "tests" / "data" / name for name in ("speech.flac", "guitar.flac")]
_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_GRAPHS = ("encoder_stream.onnx", "decoder_stream.onnx")
_MISSING = """<p class="live-note" id="live-missing">This copy of the site was built without the codec for browsers:
{problem}. Build it again where npm can fetch onnxruntime-web.</p>
"""


def make(version: str) -> None:
    """Make the folder and `out/live.html`, which the page includes. `version`: of the package and the models."""
    state = hashlib.sha256(version.encode() + b"".join(
        path.read_bytes() for path in [Path(__file__), *RECORDINGS, *sorted(SOURCE.iterdir())])).hexdigest()
    if FRAGMENT.is_file() and state in FRAGMENT.read_text():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    if problem := _fetch_runtime():
        print(f"live page: {problem}")
        FRAGMENT.write_text(_MISSING.format(problem=problem))
        return
    for path in [*SOURCE.glob("*.js"), *SOURCE.glob("*.css"), *RECORDINGS]:
        shutil.copy(path, FOLDER)
    facts = _export() | {"bytes": sum((FOLDER / name).stat().st_size for name in (*_GRAPHS, _RUNTIME[-1]))}
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    page = (SOURCE / "page.html").read_text()
    FRAGMENT.write_text(f"<!-- {state} -->\n" + page.replace("@FACTS@", json.dumps(facts)).replace(
        "@SIZE@", f"{size / 1e6:.0f}"))


def _fetch_runtime() -> str | None:
    """onnxruntime-web into the folder; returns what is missing, if so."""
    if shutil.which("npm") is None:
        return "npm was not installed"
    modules = OUT / "npm"
    modules.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, modules)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=modules,
                          capture_output=True, text=True)
    if done.returncode:
        return "npm could not fetch onnxruntime-web"
    for name in _RUNTIME:
        shutil.copy(modules / "node_modules" / "onnxruntime-web" / "dist" / name, FOLDER)
    return None


def _export() -> dict:
    """The graphs of the default model, and what the page needs to know of them."""
    from tinyencodec.tools.export.files import export

    model = tinyencodec.load_model()
    with tempfile.TemporaryDirectory() as scratch:
        export(model, Path(scratch) / "graphs", half=True)
        for name in _GRAPHS:
            shutil.copy(Path(scratch) / "graphs" / name, FOLDER)
    return {"model": model.name, "sample_rate": model.sample_rate, "hop_length": model.hop_length,
            "codebooks": model.n_codebooks, "codebook_size": model.config.codebook_size,
            "usual_codebooks": model.codebooks_for(model.usual_bandwidth)}
