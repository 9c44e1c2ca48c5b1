"""A layout grammar for the decoder, "LLLDDD" for one: which class ids may stand at which place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput

REMEDY = "L is a letter, D a digit, ? any character, [AB7] one of those; alternatives stand with | between them"


@dataclass(frozen=True)
class Grammar:
    """Alternatives of fixed length: `places[a][i]` are the class ids that may stand at place i of alternative a."""

    text: str
    places: tuple[tuple[frozenset[int], ...], ...]

    def fits(self, ids: Sequence[int]) -> bool:
        """Say whether class ids obey one of the alternatives."""
        return any(len(places) == len(ids) and _starts(places, ids) for places in self.places)

    def next_ids(self, prefix: Sequence[int]) -> frozenset[int]:
        """Return the class ids that may follow a prefix; empty where nothing may."""
        going_on = (p[len(prefix)] for p in self.places if len(p) > len(prefix) and _starts(p, prefix))
        return frozenset().union(*going_on)


def _starts(places: tuple[frozenset[int], ...], ids: Sequence[int]) -> bool:
    return all(i in place for i, place in zip(ids, places, strict=False))


def parse_grammar(layout: str | Sequence[str], alphabet: Alphabet) -> Grammar:
    """Read a layout ("LLLDDD", "LLLDDD|LLDDDD" or a list of such) for an alphabet; nonsense is a `BadInput`.

    A character that the alphabet folds counts as what it is read as: with {"O": "0"} an L may be read as 0.
    """
    texts = [part for text in ([layout] if isinstance(layout, str) else layout) for part in text.split("|")]
    if not texts or not all(texts):
        raise BadInput(f"layout {layout!r}", "expected at least one place in each alternative", REMEDY)
    return Grammar("|".join(texts), tuple(tuple(_place(token, text, alphabet) for token in _tokens(text)) for text in texts))


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        end = at
        if text[at] == "[":
            end = text.find("]", at)
            if end <= at + 1:
                raise BadInput(f"layout {text!r}", "expected characters between [ and ]", REMEDY)
        tokens.append(text[at : end + 1])
        at = end + 1
    return tokens


def _place(token: str, text: str, alphabet: Alphabet) -> frozenset[int]:
    known = set(alphabet.characters) | set(alphabet.fold)
    kinds = {"L": str.isalpha, "D": str.isdigit, "?": lambda c: True}
    if token in kinds:
        wanted = {c for c in known if kinds[token](c)}
    elif token.isalnum():
        raise BadInput(f"layout {text!r}", f"expected L, D, ? or [..], found {token!r}", REMEDY)
    else:
        wanted = set(token[1:-1] if len(token) > 1 else token)
    if not wanted or wanted - known:
        raise BadInput(f"layout {text!r}", f"the alphabet has nothing for {sorted(wanted - known) or token}", REMEDY)
    return frozenset(alphabet.characters.index(alphabet.canonical(c)) + 1 for c in wanted)
