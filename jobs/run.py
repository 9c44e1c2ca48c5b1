"""Door for Ray jobs: `ray job submit -- python jobs/run.py recipes/florida_crnn.yaml` (same arguments as `glyphyard run`)."""

import sys

from glyphyard.cli.main import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
