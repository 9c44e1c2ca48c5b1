"""What a task's report shows besides what every report does: one entry a task, chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from glyphyard.report.characters import characters_of
from glyphyard.report.drawn import pages_of
from glyphyard.report.read import RunFiles
from glyphyard.report.strips import strips_of


@dataclass(frozen=True)
class Extra:
    """A section of its own: the template of templates/ that shows it, and what it gets as `section.content` (None: nothing to show)."""

    template: str
    content: Callable[[RunFiles], Any]


@dataclass(frozen=True)
class Page:
    """The figures that come first, and further sections; `reads`: whether there are readings, confusions and confidences.

    `enlarges`: whether a generator enlarges the crops, so that the picture that is read is another than the original.
    """

    headlines: tuple[str, ...]
    extras: tuple[Extra, ...] = ()
    reads: bool = True
    enlarges: bool = False


PAGES: dict[str, Page] = {
    "detection": Page(("map50", "map", "precision", "recall"), (Extra("pages.html.j2", pages_of),), reads=False),
    "segmentation": Page(
        ("map50", "mask_map50", "map", "mask_map", "exact_match", "cer"), (Extra("characters.html.j2", characters_of),)
    ),
    "recognition": Page(("exact_match", "cer", "length_accuracy")),
    "super_resolution": Page(
        ("word_acc", "bicubic_word_acc", "hr_word_acc", "char_acc", "psnr", "ssim", "export_word_acc_cost"),
        (Extra("strips.html.j2", strips_of),),
        enlarges=True,
    ),
}


def page_of(run: RunFiles) -> Page:
    """Return what the report of a run's task shows."""
    return PAGES.get(str(run.recipe.get("task")), PAGES["recognition"])


def sections_of(run: RunFiles) -> list[dict[str, Any]]:
    """Return the further sections that have something to show."""
    found = [{"template": extra.template, "content": extra.content(run)} for extra in page_of(run).extras]
    return [section for section in found if section["content"] is not None]
