"""The door on a machine that has only the edge part."""

from __future__ import annotations

import subprocess
import sys


def test_an_install_without_verbs_says_so_in_one_line() -> None:
    code = "import sys; sys.modules['click'] = None; from glyphyard.cli import entry; entry()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "glyphyard[train]" in done.stderr
