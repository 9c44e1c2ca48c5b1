"""Synthetic documents: handwriting-like lines among print, rules, stains and shadows; deterministic, every line boxed."""

from glyphyard.data.synth.pages.hand import writer_of
from glyphyard.data.synth.pages.page import KINDS, SyntheticPage, render_page

__all__ = ["KINDS", "SyntheticPage", "render_page", "writer_of"]
