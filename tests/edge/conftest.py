"""A device that is not there and a super-resolution bundle, for all tests of the edge."""

from pathlib import Path

import pytest
from fake_device import fake_tensorrt, soft_bundle
from made_once import made_once

__all__ = ["fake_tensorrt", "soft_bundle"]


@pytest.fixture(scope="session")
def restorer_bundle() -> Path:
    """A super-resolution bundle of weights that nobody trained; skips where nothing trains."""
    pytest.importorskip("torch")
    from restoring import prepared, restoring_recipe, untrained

    from glyphyard.export.catalogue import exporter_of

    def make(folder: Path) -> None:
        recipe = restoring_recipe()
        exporter_of(recipe.task)(recipe, untrained(folder), prepared(), folder / "bundle", lambda line: None)

    return made_once("restorer", make) / "bundle"
