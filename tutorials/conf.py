"""How Sphinx makes the site from the chapters: `python -m sphinx -j 2 tutorials tutorials/out/site`.

MyST-NB reads each chapter through jupytext, runs it as a notebook, and keeps the results in a cache. The cache belongs
to one state of the code: when the package, the models, `book.py`, the exercises' checks, the drawings or the playables
change, all chapters run again. The finished site fetches nothing from the network. `modules.md` and the parts of the
live page are made here, before Sphinx looks for pages.
"""

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "site"))

import all_modules  # noqa: E402  (from `site`)
import live_page  # noqa: E402


def code_version() -> str:
    """A name for the state of all that chapters call."""
    state = hashlib.sha256()
    for folder, pattern in ("tinyencodec", "*.py"), ("weights", "*.json"), ("weights", "*.safetensors"):
        for path in sorted((HERE.parent / folder).rglob(pattern)):
            state.update(path.name.encode() + path.read_bytes())
    of_the_book = [*HERE.glob("drawings/*.*"), *HERE.glob("playable/*.*"), HERE / "book.py", HERE / "exercises.py"]
    for path in sorted(of_the_book):
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:12]


MODULES = HERE / "modules.md"
if not MODULES.exists() or MODULES.read_text() != all_modules.page():
    MODULES.write_text(all_modules.page())
    shutil.rmtree(HERE / "modules", ignore_errors=True)  # pages of modules that may be gone

live_page.make(code_version())

project = "tinyencodec"
author = "the tinyencodec authors"
copyright = "the tinyencodec authors, MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode", "sphinx.ext.mathjax",
              "package_docs"]
exclude_patterns = ["README.md", "*.ipynb", "conf.py", "book.py", "exercises.py", "codec_in_one_file.py", "drawings",
                    "playable", "site", "out", "live"]
templates_path = ["site/templates"]
nitpicky = False
suppress_warnings = ["ref.python"]  # two ways to the same class: `tinyencodec.X` and `tinyencodec.x.X`

# Chapters
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "out" / "cache" / code_version())
nb_execution_timeout = 600  # seconds, for one cell: against one that hangs; `package_docs` limits the whole chapter
nb_execution_excludepatterns = ["solutions/*"]
nb_merge_streams = True
nb_code_prompt_show = "Show the code of this figure"
nb_code_prompt_hide = "Hide the code of this figure"
nb_render_markdown_format = "myst"  # for `book.say`
chapter_time_limit = 600  # seconds; ten times what a chapter needs on two cores with nothing else to do
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3

# The reference, from docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autosummary_generate = True
autosummary_ignore_module_all = False
default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"

# Pages
html_theme = "furo"
html_title = "tinyencodec"
html_static_path = ["site/static", "out/static"]
html_css_files = ["book.css"]
html_favicon = "site/static/wave.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = html_domain_indices = False  # the glossary and `modules.md` are better ones
html_theme_options = {
    "sidebar_hide_name": False,
    "light_logo": "wave.svg", "dark_logo": "wave.svg",
    "light_css_variables": {"color-brand-primary": "#1f6fb2", "color-brand-content": "#1f6fb2",
                            "color-brand-visited": "#1f6fb2"},
    "dark_css_variables": {"color-brand-primary": "#6cb2ee", "color-brand-content": "#6cb2ee",
                           "color-brand-visited": "#6cb2ee"},
}
highlight_language = "none"  # what stands indented in docstrings is mostly formulas
pygments_style = "github-light"
pygments_dark_style = "github-dark"

# Formulas: one local file, which draws without fonts
_mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
html_static_path.append(str(_mathjax / "tex-svg.js"))
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}
