"""The documentation site: Markdown in, pages without any outside request out."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "braindelta"
author = "the authors of braindelta"
project_copyright = author
version = release = version_of("braindelta")
extensions = ["myst_parser", "generated_pages", "offline_math"]
exclude_patterns = ["_build", "_ext", "_static"]
nitpicky = True

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "braindelta"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
templates_path = []
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f2", "color-brand-content": "#7cc4f2"},
}
