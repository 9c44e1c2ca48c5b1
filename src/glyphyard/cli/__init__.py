"""The door `glyphyard`: it opens only where the verbs' packages are; an edge device has the reader and the sync agent."""

from __future__ import annotations

import importlib.util
import sys


def entry() -> None:
    """Run the command line, or say in one line that this install has none (exit 2)."""
    if importlib.util.find_spec("click") is None:
        if sys.argv[1:2] == ["sync"]:
            from glyphyard.edge.sync.daemon import main as sync

            sys.exit(sync(sys.argv[2:]))
        if sys.argv[1:2] == ["engine"]:  # a device builds its engines with this package alone
            from glyphyard.edge.__main__ import main as on_device

            sys.exit(on_device(sys.argv[2:]))
        print("glyphyard: this install has no verbs; it wants glyphyard[train], from its wheel", file=sys.stderr)
        sys.exit(2)
    from glyphyard.cli.main import main

    main()
