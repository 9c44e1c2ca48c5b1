"""All single faults that a sync agent is tried with; `tools/sync_faults.py` adds power cuts and refusing disks."""

from __future__ import annotations

from fakes.sync_cases.case import Case
from fakes.sync_cases.device import device_cases, service_cases
from fakes.sync_cases.registry import alias_cases, download_cases, hostile_cases, registry_cases


def cases() -> list[Case]:
    """Return all single faults."""
    makers = (registry_cases, download_cases, hostile_cases, service_cases, alias_cases, device_cases)
    return [case for make in makers for case in make()]
