"""Text that may be printed, logged or written: without the credentials that an address in it carries."""

from __future__ import annotations

import re


def redact(text: str) -> str:
    """Blot out what stands between `://` and `@`, and secrets in a query, in every URI of `text`."""
    text = re.sub(r"(?i)([?&;](?:[a-z_]*(?:password|passwd|pwd|token|secret|signature|sig|key))=)[^&\s'\"<>]*", r"\1***", text)
    # Up to the last @ of the word: a password that was not percent-encoded may hold / and @ itself.
    return re.sub(r"://[^\s'\"<>]*@", "://***@", text)
