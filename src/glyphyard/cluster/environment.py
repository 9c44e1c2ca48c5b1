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
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a trial's figures stand in its folder already
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # else Ctrl-C looks like a finished search
    "TUNE_RESULT_BUFFER_LENGTH": "1",  # a decision on each epoch
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # for a stopped trial to let go of a process that is used again
    "RAY_AIR_NEW_OUTPUT": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
}


def set_defaults() -> None:
    """Set what is not set yet; call before the first `import ray`."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
