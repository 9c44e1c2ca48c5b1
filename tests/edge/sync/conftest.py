"""One device and one fake registry for the tests of the sync agent; `world.fresh(…)` starts anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.registry_server import FakeRegistry
from fakes.sync_world import World

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))


@pytest.fixture(scope="session")
def the_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The only one: its bundles take a second to make."""
    from glyphyard.edge.sync import registry as registry_module

    before = registry_module.BLOCK
    with FakeRegistry() as registry:
        yield World(tmp_path_factory.mktemp("sync"), registry)
    registry_module.BLOCK = before


@pytest.fixture
def world(the_world: World) -> World:
    """A device that serves version 1, while the registry's champion is version 2."""
    the_world.fresh("one")
    the_world.registry.point("champion", 2)
    return the_world
