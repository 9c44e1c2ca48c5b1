"""Door for Ray jobs: `ray job submit -- python jobs/export.py --help` (same arguments as `glyphyard export`)."""

import sys

from glyphyard.cli.main import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
