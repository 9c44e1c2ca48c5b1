"""Door for Ray jobs: `ray job submit -- python jobs/promote.py --help` (same arguments as `glyphyard promote`)."""

import sys

from glyphyard.cli.main import main

if __name__ == "__main__":
    main(["promote", *sys.argv[1:]])
