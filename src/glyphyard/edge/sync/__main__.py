"""`python -m glyphyard.edge.sync`."""

import sys

from glyphyard.edge.sync.daemon import main

sys.exit(main())
