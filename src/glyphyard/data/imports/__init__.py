"""Other people's data sets into ours: read with suspicion, audited, written whole or not at all."""
