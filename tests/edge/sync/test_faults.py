"""The table of `tools/sync_faults.py`: after every fault the device serves a whole model, and the polls that follow heal it."""

from __future__ import annotations

import errno

import pytest
import sync_faults as faults  # of tools/, see conftest.py
from fakes.power import HOWS
from fakes.sync_world import World

STRIDE = 19  # every 19th write here; `tools/sync_faults.py` tries all


@pytest.mark.parametrize("case", faults.cases(), ids=lambda case: f"{case.group}: {case.fault}")
def test_a_single_fault_is_survived_and_healed(the_world: World, case: faults.Case) -> None:
    row = faults.run_case(the_world, case)
    assert row.good, row.trouble


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("number", range(len(faults.FLOWS)), ids=[flow.name for flow in faults.FLOWS])
def test_a_power_cut_at_a_write_is_survived_and_healed(the_world: World, number: int, how: str) -> None:
    row = faults.power_cuts(the_world, faults.FLOWS[number], how, STRIDE, 1 + (5 * number + 7 * HOWS.index(how)) % STRIDE)
    assert row.good, row.trouble


@pytest.mark.slow
def test_a_power_cut_at_each_write_of_an_upgrade_is_survived_and_healed(the_world: World) -> None:
    writes = []
    for first, how in enumerate(HOWS, 1):  # one kind of cut after the other, so that each write meets one
        row = faults.power_cuts(the_world, faults.FLOWS[1], how, len(HOWS), first)
        assert row.good, row.trouble
        writes.append(row.tried)
    assert sum(writes) > 40


@pytest.mark.parametrize(("code", "once"), [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, True), (errno.EROFS, False)])
def test_a_disk_that_refuses_is_survived_and_healed(the_world: World, code: int, once: bool) -> None:
    row = faults.disk_faults(the_world, code, once, 17)
    assert row.good, row.trouble


@pytest.mark.parametrize("limit", [100, 600, 1200])
def test_a_file_size_limit_of_the_kernel_is_survived_and_healed(the_world: World, limit: int) -> None:
    row = faults.full_file_system(the_world, limit)
    assert row.good, row.trouble


def test_two_agents_do_not_work_at_once(the_world: World) -> None:
    row = faults.two_agents(the_world)
    assert row.good, row.trouble


def test_the_table_counts_what_was_tried(the_world: World) -> None:
    rows = [faults.Row("a", "x", 1, 1, 1), faults.Row("a", "y", 1, 1, 0), faults.Row("b", "z", 7, 7, 7)]
    last = faults.table(rows).splitlines()[-1].split()
    assert last == ["all", "9", "9", "8"]
    assert [row.good for row in rows] == [True, False, True]
