"""Laws between a recipe and the suite that judges it: found when the recipe is loaded, not after the training."""

from __future__ import annotations

from collections.abc import Iterator

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.recipe.breach import Breach
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import REPORTED

AT = ("evaluate", "suite")


def suite_asks_for_what_is_reported(recipe: Recipe) -> Iterator[Breach]:
    """GY030: a bound or a tolerance is on a metric that the task's scorecard reports."""
    known = REPORTED.get(recipe.task)
    if recipe.suite is None or known is None:
        return
    asked = [*(threshold.metric for threshold in recipe.suite.thresholds), *recipe.suite.regression.tolerance]
    for metric in asked:
        if metric not in known:
            problem = f"suite {recipe.suite.name!r} asks for `{metric}`, which task {recipe.task!r} does not report"
            yield Breach(AT, problem, f"it reports {', '.join(known)}")


def suite_equivalences_are_groups(recipe: Recipe) -> Iterator[Breach]:
    """GY031: in a suite, too, an equivalence names two characters or more, and a character belongs to one."""
    groups = recipe.suite.equivalences if recipe.suite else ()
    for group in groups:
        if len(set(group)) < 2:
            yield Breach(AT, f"suite equivalence {group!r} makes nothing equal", "name two characters, e.g. 0O")
    joined = "".join("".join(dict.fromkeys(group)) for group in groups)
    for character in dict.fromkeys(joined):
        if joined.count(character) > 1:
            yield Breach(AT, f"{character!r} stands in more than one suite equivalence of {list(groups)}", "join them")


def baseline_can_be_compared(recipe: Recipe) -> Iterator[Breach]:
    """GY032: the baseline is there, and it is of this suite, text policy and alphabet."""
    path, suite = recipe.evaluate.baseline, recipe.suite
    if path is None or suite is None:
        return
    at = ("evaluate", "baseline")
    try:
        card = read_json(path)["scorecard"]
        found = [card["suite"], card.get("case", "keep"), card.get("equivalences", []), card.get("alphabet", "")]
    except (BadInput, KeyError, TypeError, AttributeError):
        yield Breach(at, f"no baseline {path}", "`glyphyard baseline update NAME --from RUN --why TEXT` makes one")
        return
    expected = [suite.name, suite.case, list(suite.equivalences), recipe.dataset.alphabet if found[3] else ""]
    for what, ours, theirs in zip(("suite", "case", "equivalences", "alphabet"), expected, found, strict=True):
        if ours != theirs:
            yield Breach(at, f"the baseline is of {what} {theirs!r}, this recipe of {ours!r}", "compare with another baseline")


SUITE_LAWS = (suite_asks_for_what_is_reported, suite_equivalences_are_groups, baseline_can_be_compared)
