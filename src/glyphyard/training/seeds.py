"""Every random draw of training hangs on (seed, stage, epoch or step, rank): a resumed run needs no memory of dice."""

from __future__ import annotations

import hashlib


def derive(*key: int | str) -> int:
    """Return a 63-bit seed for a key; near keys give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
