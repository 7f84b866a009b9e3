"""Configuration of the documentation site: `make docs`."""

import clsa_mm

project = 'clsa_mm'
author = 'clsa_mm authors'
copyright = '2026, clsa_mm authors'
version = release = clsa_mm.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.mathjax',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx-mathjax-offline',  # formulas show without a network
]
myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 3
exclude_patterns = ['_build']

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of dataclasses are listed once

html_theme = 'furo'
html_title = f'clsa_mm {release}'
