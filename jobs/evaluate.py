"""Door for Ray jobs: `ray job submit -- python jobs/evaluate.py --help` (same arguments as `glyphyard evaluate`)."""

import sys

from glyphyard.cli.main import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
