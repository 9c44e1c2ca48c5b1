"""How well a bundle reads a held-out set, and whether that is enough: measure → Scorecard, judge → Verdict."""
