"""A sweep: which fields of a base recipe vary over which values, by what they are judged, and what it may cost."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from glyphyard.core.files import canonical_json
from glyphyard.recipe.base import RecipePath, Slug, Strict

KINDS = ("uniform", "loguniform", "int", "choice")


class Dimension(Strict):
    """The values that one field may take: exactly one of `uniform`, `loguniform`, `int` and `choice`."""

    uniform: Annotated[tuple[float, float], Field(strict=False)] | None = Field(None, description="[low, high]")
    loguniform: Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None, description="[low, high], evenly in the logarithm."
    )
    int_: Annotated[tuple[int, int], Field(strict=False)] | None = Field(
        None, alias="int", description="[low, high], whole numbers, both included."
    )
    choice: Annotated[tuple[Any, ...], Field(strict=False, min_length=2)] | None = Field(None, description="A list of values.")
    step: int = Field(1, ge=1, description="int: distance of two values.")
    points: int | None = Field(None, ge=2, le=1000, description="grid: how many values of a uniform or loguniform range.")
    when: dict[str, Any] = Field(
        default_factory=dict, description="Only varied where these other fields of the space have these values."
    )

    @model_validator(mode="after")
    def _one_range(self) -> Dimension:
        stated = [kind for kind in KINDS if self._of(kind) is not None]
        if len(stated) != 1:
            raise ValueError(f"expected exactly one of {', '.join(KINDS)}, found {', '.join(stated) or 'none'}")
        if self.choice is None:
            low, high = self.bounds
            if not low < high:
                raise ValueError(f"expected [low, high] with low < high, found [{low:g}, {high:g}]")
            if self.kind == "loguniform" and low <= 0:
                raise ValueError(f"expected a positive low end of a loguniform range, found {low:g}")
        elif len({canonical_json(value) for value in self.choice}) < len(self.choice):
            raise ValueError("expected different values in a choice, found one twice")
        return self

    def _of(self, kind: str) -> Any:
        return getattr(self, "int_" if kind == "int" else kind)

    @property
    def kind(self) -> str:
        """Return "uniform", "loguniform", "int" or "choice"."""
        return next(kind for kind in KINDS if self._of(kind) is not None)

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the two ends of a range (not of a choice)."""
        low, high = self._of(self.kind)
        return low, high

    def ends(self) -> list[Any]:
        """Return the values that show whether the field can hold this dimension: a range's ends, or every choice."""
        return list(self.choice) if self.choice is not None else list(self.bounds)

    def grid(self) -> list[Any] | None:
        """Return all values that a grid visits; None for a range without `points`."""
        if self.choice is not None:
            return list(self.choice)
        low, high = self.bounds
        if self.kind == "int":
            return list(range(int(low), int(high) + 1, self.step))
        if self.points is None:
            return None
        shares = [i / (self.points - 1) for i in range(self.points)]
        if self.kind == "uniform":
            return [low + (high - low) * share for share in shares]
        return [low * (high / low) ** share for share in shares]

    def holds(self, value: Any) -> bool:
        """Say whether a value lies in this dimension."""
        if self.choice is not None:
            return any(_same(value, option) for option in self.choice)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        low, high = self.bounds
        return low <= value <= high and (self.kind != "int" or (value - low) % self.step == 0)


def _same(a: Any, b: Any) -> bool:
    return canonical_json(a) == canonical_json(b)


class ObjectiveConfig(Strict):
    """What a trial is judged by: a metric that the gate knows, measured on the VALIDATION split at the trial's best epoch."""

    metric: str = Field(description="cer, exact_match, …: a metric of the gate that validation reports.")
    direction: Literal["minimize", "maximize"]


class AshaConfig(Strict):
    """Asynchronous successive halving: a trial goes on past a rung only among the best 1/reduction_factor that reached it."""

    grace_epochs: int = Field(1, ge=1, description="The first rung: no trial is stopped before the end of this epoch.")
    reduction_factor: int = Field(3, ge=2, le=16, description="Rungs at grace, grace·f, grace·f² … epochs.")


class SweepBudget(Strict):
    """When the search ends, whichever comes first; retraining the best comes after it."""

    trials: int | None = Field(None, ge=1, le=100_000)
    hours: float | None = Field(None, gt=0, description="Wall clock of the search, over all its sessions.")


class TrialResources(Strict):
    """What one trial gets."""

    workers: int = Field(1, ge=1, le=1024, description="Training processes (DDP) of one trial.")
    cpus_per_worker: int = Field(1, ge=1, le=1024)
    gpus_per_worker: float = Field(
        0, ge=0, le=8, description="A fraction lets trials share a GPU; Ray counts, the memory is not walled off."
    )


class ConfirmConfig(Strict):
    """How the best trials are told from luck: trained again with seeds that the search never saw, beside the base recipe."""

    top_k: int = Field(2, ge=1, le=20)
    seeds: int = Field(3, ge=2, le=50)
    confidence: float = Field(0.95, gt=0.5, lt=1)


class SweepConfig(Strict):
    """A search over the fields of a base recipe that ends in a decision."""

    name: Slug
    description: str = ""
    recipe: RecipePath = Field(description="The base recipe; relative to this file.")
    set: dict[str, Any] = Field(default_factory=dict, description="Changes of the base recipe: dotted path → value.")
    space: dict[str, Dimension] = Field(
        min_length=1, description="Dotted recipe path → values; or `auto`: the ranges that the schema states for its fields."
    )
    objective: ObjectiveConfig
    sampler: Literal["tpe", "gp", "cmaes", "random", "grid"] = "tpe"
    startup_trials: int = Field(10, ge=1, description="Random trials before tpe, gp and cmaes begin to learn.")
    asha: AshaConfig | None = Field(AshaConfig(), description="null lets every trial train to its end.")
    budget: SweepBudget
    resources: TrialResources = TrialResources()
    concurrency: int | None = Field(None, ge=1, description="Trials at a time; as many as fit the cluster when absent.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the sampler; the recipe has its own.")
    storage: str | None = Field(
        None,
        description="RDB URL of the study; SQLite in the sweep's folder when absent, GLYPHYARD_STUDY when it holds a password.",
    )
    confirm: ConfirmConfig = ConfirmConfig()

    def active(self, values: dict[str, Any], path: str) -> bool:
        """Say whether a dimension is varied, given the values of those it depends on."""
        return all(name in values and _same(values[name], wanted) for name, wanted in self.space[path].when.items())

    def ordered(self) -> list[str]:
        """Return the space's paths such that each stands after those that it depends on; a circle is left out."""
        done: list[str] = []
        while ready := [p for p, d in self.space.items() if p not in done and all(w in done for w in d.when)]:
            done += ready
        return done

    def grid(self) -> list[dict[str, Any]]:
        """Return all points of a grid, conditional dimensions only where they are varied."""
        points: list[dict[str, Any]] = [{}]
        for path in self.ordered():
            values = self.space[path].grid() or []
            points = [
                point | {path: value} if self.active(point, path) else point
                for point in points
                for value in (values if self.active(point, path) else [None])
            ]
        return points


def halvings(epochs: int, asha: AshaConfig) -> list[int]:
    """Return the epochs at which a trial of so many epochs may be stopped."""
    most = max(0, math.ceil(math.log(max(1, epochs) / asha.grace_epochs, asha.reduction_factor)) + 1)
    rungs = (asha.grace_epochs * asha.reduction_factor**k for k in range(most))
    return [rung for rung in rungs if rung < epochs]
