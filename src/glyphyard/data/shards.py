"""The shards of a prepared dataset: Parquet files of rows in order of their ids, the same bytes on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.files import sha256_file
from glyphyard.core.pixels import pair_identity
from glyphyard.core.records import Shard, SplitRecord
from glyphyard.data.workplace import to_disk, writing

SHARD_ROWS = 4096
SHARD_BYTES = 256_000_000  # of pixels and encoded images; a shard is read as a whole
ROW_GROUP = 512
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("pixels", pa.binary()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("group", pa.string()),
        ("path", pa.string()),
        ("line", pa.int32()),
        ("meta", pa.string()),
        ("encoded", pa.large_binary()),
    ]
)
# Rows of a dataset in two resolutions: null where the low side is made anew in every epoch.
PAIRED_SCHEMA = SCHEMA.append(pa.field("lr_pixels", pa.binary()))
# Rows of plates whose characters are outlined: see outlines.py.
OUTLINED_SCHEMA = SCHEMA.append(pa.field("outlines", pa.string()))
# Pixels and encoded images do not get smaller; stored plain they are read without a copy.
PLAIN = ("pixels", "encoded", "lr_pixels")


@dataclass
class SplitWriter:
    """Writes the rows of one split, as they come, to numbered shards."""

    folder: Path
    split: str
    shards: list[Shard] = field(default_factory=list)
    rows: int = 0
    groups: set[str] = field(default_factory=set)
    _waiting: list[pa.Table] = field(default_factory=list)
    _waiting_bytes: int = 0
    _content: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, table: pa.Table, identities: list[str]) -> None:
        """Take the next rows, ids ascending; `identities` are their images' hashes."""
        self.rows += len(table)
        self.groups.update(table["group"].to_pylist())
        low = table["lr_pixels"].to_pylist() if "lr_pixels" in table.column_names else [None] * len(table)
        for identity, small, text in zip(identities, low, table["text"].to_pylist(), strict=True):
            self._content.update(f"{pair_identity(identity, small)}\t{text}\n".encode())
        for start in range(0, len(table), ROW_GROUP):
            part = table.slice(start, ROW_GROUP)
            part_bytes = sum(part[name].nbytes for name in ("pixels", "encoded"))
            if self._waiting and (self._count() + len(part) > SHARD_ROWS or self._waiting_bytes + part_bytes > SHARD_BYTES):
                self._flush()
            self._waiting.append(part)
            self._waiting_bytes += part_bytes

    def finish(self) -> SplitRecord:
        """Write what is left and return the split's record."""
        if self._waiting:
            self._flush()
        return SplitRecord(self.rows, len(self.groups), self._content.hexdigest(), self.shards)

    def _count(self) -> int:
        return sum(map(len, self._waiting))

    def _flush(self) -> None:
        path = self.folder / f"{self.split}-{len(self.shards):05d}.parquet"
        table = pa.concat_tables(self._waiting).combine_chunks()
        with writing(path):
            pq.write_table(
                table,
                path,
                compression={name: "NONE" if name in PLAIN else "ZSTD" for name in table.column_names},
                use_dictionary=["source"],
                row_group_size=ROW_GROUP,
                write_statistics=["id"],
            )
            to_disk(path)
        self.shards.append(Shard(path.name, len(table), sha256_file(path)))
        self._waiting, self._waiting_bytes = [], 0
