"""How Sphinx shows the course; authoring/site.py lays it out and calls it."""

import os

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.util.osutil import relative_uri

LANGUAGES = {"es": "Español", "en": "English"}
WORDS = {
    "es": {
        "search": "Buscar en el curso",
        "other": "This page in English",
        "lessons": "Lecciones",
        "unset": "Este sitio aún no tiene dirección pública: donde los "
        "enlaces dicen OWNER/REPO falta el nombre de tu repositorio, que se "
        "escribe en pyproject.toml, en Repository.",
    },
    "en": {
        "search": "Search the course",
        "other": "Esta página en español",
        "lessons": "Lessons",
        "unset": "This site has no public address yet: where links say "
        "OWNER/REPO, the name of your repository is missing. It is written "
        "in pyproject.toml, under Repository.",
    },
}

language = os.environ["AULA_LANGUAGE"]
other = "en" if language == "es" else "es"
repository = os.environ["AULA_REPOSITORY"]
words = WORDS[language]

project = "Aula"
author = "The Aula authors"
copyright = "Aula: CC BY 4.0, MIT"
release = os.environ["AULA_VERSION"]

extensions = ["myst_nb"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 3
# What a program shows is not Python.
highlight_language = "none"

nb_mime_priority_overrides = [("linkcheck", "text/html", 1)]
linkcheck_ignore = [
    r"https?://(127\.0\.0\.1|localhost)",
    r"https://github\.com/OWNER/REPO",
]

html_theme = "pydata_sphinx_theme"
html_title = "Aula"
html_baseurl = os.environ["AULA_SITE"] + language + "/"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["aula.css"]
html_js_files = [("aula.js", {"defer": "defer"})]
html_context = {"default_mode": "auto"}
html_favicon = "_static/icon.svg"
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_sidebars = {"**": ["lessons.html"]}
html_theme_options = {
    "logo": {"text": "Aula"},
    "search_bar_text": words["search"],
    "navbar_center": [],
    "navbar_persistent": ["search-button-field", "language.html"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "primary_sidebar_end": [],
    "article_header_start": [],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if repository == "OWNER/REPO":
    html_theme_options["announcement"] = words["unset"]


def number_sections(app, doctree):
    """Name each section by its place too: both languages have the same."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for number, section in enumerate(doctree.findall(nodes.section), 1):
        section["ids"].append(f"s{number}")
        # Where MyST looks links up.
        slugs[f"s{number}"] = (None, f"s{number}", section[0].astext())


def add_switch(app, pagename, templatename, context, doctree):
    """Tell the templates where this page is in the other language."""
    here = app.builder.get_target_uri(pagename)
    context["switch"] = {
        "lang": other,
        "name": LANGUAGES[other],
        "title": words["other"],
        "href": relative_uri(f"{language}/{here}", f"{other}/{here}"),
    }
    alternate = (
        f'<link rel="alternate" hreflang="{other}" '
        f'href="{context["switch"]["href"]}">'
    )
    context["metatags"] = context.get("metatags", "") + alternate
    context["lessons_title"] = words["lessons"]


def fold(self, node):
    self.body.append(
        '<details class="aula-fold"><summary>'
        f"{self.encode(node['prompt_show'])}</summary>\n"
    )


def end_fold(self, node):
    self.body.append("</details>\n")


def setup(app):
    app.add_node(HideCodeCellNode, override=True, html=(fold, end_fold))
    app.connect("doctree-read", number_sections)
    app.connect("html-page-context", add_switch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
