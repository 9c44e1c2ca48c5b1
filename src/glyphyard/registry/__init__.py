"""MLflow: runs, gated model versions and who is champion; nothing of it is imported before it is used."""

from glyphyard.registry.evidence import ModelVersion
from glyphyard.registry.promote import Promotion, history, models, promote, rollback
from glyphyard.registry.register import attach_report, push, register
from glyphyard.registry.tracking import Tracking

__all__ = [
    "ModelVersion",
    "Promotion",
    "Tracking",
    "attach_report",
    "history",
    "models",
    "promote",
    "push",
    "register",
    "rollback",
]
