"""Door for Ray jobs: `ray job submit -- python jobs/sweep.py recipes/sweeps/florida_crnn.yaml` (same arguments as `glyphyard sweep`)."""

import sys

from glyphyard.cli.main import main

if __name__ == "__main__":
    main(["sweep", *sys.argv[1:]])
