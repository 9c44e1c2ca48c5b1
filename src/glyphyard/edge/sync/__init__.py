"""The sync agent: a device follows the registry's alias, and keeps what works. numpy and the standard library (and a runtime)."""

from glyphyard.edge.sync.agent import Agent
from glyphyard.edge.sync.config import SyncConfig
from glyphyard.edge.sync.state import SyncState

__all__ = ["Agent", "SyncConfig", "SyncState"]
