"""`make cluster`: a Ray head on this machine, from this environment, that asks for a token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from glyphyard.cluster.environment import set_defaults

RAY = Path(sys.executable).parent / "ray"
PORT = 6379
HINT = """
The head is up. In the shell that submits (the one `export` is the client's half of Ray's token authentication;
without it `ray job` answers AuthenticationError):

    source .venv/bin/activate
    export RAY_AUTH_MODE=token
    ray job submit -- python jobs/run.py recipes/florida_crnn.yaml

`make stop-cluster` ends every Ray on this machine. The token lies in ~/.ray/auth_token.
"""


def start() -> int:
    """Start the head in the working directory (jobs run there) with the environment's python first on the PATH."""
    set_defaults()
    os.environ["RAY_AUTH_MODE"] = "token"
    # The token is made once and read from its file; it never stands on a command line.
    subprocess.run([RAY, "get-auth-token", "--generate"], check=True, stdout=subprocess.DEVNULL)
    command = [RAY, "start", "--head", f"--port={PORT}", "--dashboard-host=127.0.0.1", "--disable-usage-stats"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(
            f"make cluster: ray start failed; {done.stderr.strip().splitlines()[-1:]}; `make stop-cluster` first", file=sys.stderr
        )
        return done.returncode
    print(HINT)
    return 0


def stop() -> int:
    """Stop every Ray process on this machine."""
    return subprocess.run([RAY, "stop"]).returncode


if __name__ == "__main__":
    sys.exit(stop() if sys.argv[1:] == ["stop"] else start())
