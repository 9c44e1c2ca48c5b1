"""Synthetic licence plates: deterministic, labelled, and drawn with the house stroke font."""

from glyphyard.data.synth.plate import FAMILIES, SyntheticPlate, plate_text, render_plate
from glyphyard.data.synth.sheet import contact_sheet

__all__ = ["FAMILIES", "SyntheticPlate", "contact_sheet", "plate_text", "render_plate"]
