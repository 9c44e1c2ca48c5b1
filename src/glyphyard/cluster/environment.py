"""The environment Ray has to find before it is imported; each line answers a trap that was measured."""

from __future__ import annotations

import os

DEFAULTS = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else every worker process builds its own environment under `uv run`
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # the live bar is ours
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths keep their meaning in workers
    "RAY_TRAIN_COLLECTIVE_TIMEOUT_S": "1800",  # report() waits for ever otherwise
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
}


def set_defaults() -> None:
    """Set what is not set yet; call before the first `import ray`."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
