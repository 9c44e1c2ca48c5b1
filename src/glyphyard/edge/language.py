"""A bundle's character n-gram, read when somebody asks for beam search."""

from __future__ import annotations

import json

from glyphyard.core.decoding import CTC
from glyphyard.core.errors import BadInput
from glyphyard.core.ngram import Ngram
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.manifest import NGRAM

GREEDY, BEAM = "greedy", "beam"
REMEDY = "read greedily, or export it again with `export: {ngram: 5}` in its recipe"


def ngram_of(bundle: Bundle, decode: str) -> Ngram | None:
    """Return what `decode` needs of a bundle: nothing for "greedy", its n-gram for "beam"; a `BadInput` where there is none."""
    if decode == GREEDY:
        return None
    if decode != BEAM:
        raise BadInput(f"decode {decode!r}", f"expected {GREEDY} or {BEAM}", "")
    if NGRAM not in bundle.manifest.files or bundle.manifest.decode.method != CTC:
        raise BadInput(str(bundle.folder), "has no n-gram to search with", REMEDY)
    where = str(bundle.folder / NGRAM)
    try:
        value = json.loads(bundle.read(NGRAM))
    except ValueError as error:
        raise BadInput(where, f"is not JSON ({error})", "export the bundle again") from error
    return Ngram.from_json(value, bundle.alphabet, where)
