"""Crops that a device was not sure of, kept for a person to label: bounded, whole after any power cut, ready to merge.

One crop is an image beside a JSON file of the same name; the JSON is written last, so an item is there or it is not.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.files import make_folder, sha256_bytes, sha256_file, write_json, write_text
from glyphyard.core.folders import atomic_folder
from glyphyard.core.pixels import decode_image
from glyphyard.core.records import Record

UNSURE, DISAGREEMENT = "unsure", "disagreement"
NAME = re.compile(r"[0-9]{12}-[0-9a-f]{24}")
SANE_S = 1_735_689_600.0  # 2025: a clock that says less has not been set yet
DAY_S = 86_400.0


@dataclass(frozen=True)
class QueuedRead(Record):
    """What one model read on the crop."""

    text: str
    confidence: float
    character_confidences: list[float]


@dataclass(frozen=True)
class QueuedCrop(Record):
    """One item: its image's file name and SHA-256, why it is here, and each model's reading by role."""

    image: str
    sha256: str
    reason: str
    reads: dict[str, QueuedRead]
    seen_s: float


class LabelQueue:
    """A folder with at most `max_mib` of crops, none older than `max_age_days`; the oldest leave first.

    Any number of threads and processes may add. The order of arrival is kept by number and not by clock; an item that
    came before the clock was set gets its age when it is.
    """

    def __init__(
        self, folder: Path, max_mib: float = 256.0, max_age_days: float = 30.0, now: Callable[[], float] = time.time
    ) -> None:
        if max_mib <= 0 or max_age_days <= 0:
            raise BadInput(str(folder), f"expected positive caps, found {max_mib:g} MiB and {max_age_days:g} days")
        self.folder, self._now = Path(folder), now
        self._max_bytes, self._max_age_s = int(max_mib * (1 << 20)), max_age_days * DAY_S

    def offer(
        self, crop: np.ndarray | bytes, champion: Reading, challenger: Reading | None = None, below: float = 0.9
    ) -> str | None:
        """Add a crop that is worth a label: two models differ on it, or the champion's confidence is less than `below`."""
        if challenger is not None and challenger.text != champion.text:
            return self.add(crop, {"champion": champion, "challenger": challenger}, DISAGREEMENT)
        return self.add(crop, {"champion": champion}, UNSURE) if champion.confidence < below else None

    def add(self, crop: np.ndarray | bytes, reads: Mapping[str, Reading], reason: str) -> str | None:
        """Add a crop (encoded bytes, or grey or BGR uint8) and return its name; None when it is larger than the queue, or there.

        A crop that waits because one model was unsure of it becomes a disagreement when another model reads it differently.
        """
        data, suffix = _encoded(crop)
        digest = sha256_bytes(data)
        seen = {role: QueuedRead(r.text, r.confidence, list(r.character_confidences)) for role, r in reads.items()}
        with self._locked():
            names = self._names()
            if there := next((name for name in names if name.endswith(digest[:24])), None):
                return self._weigh_more(there, seen) if reason == DISAGREEMENT else None
            # Two items of one number would not be in order; the last number is on the disk, so no clock is needed.
            name = f"{int(names[-1][:12]) + 1 if names else 1:012d}-{digest[:24]}"
            item = QueuedCrop(f"{name}{suffix}", digest, reason, seen, self._now())
            size = len(data) + len(json.dumps(item.to_json(), indent=2).encode("utf-8")) + 16
            if size > self._max_bytes:
                return None
            self._make_room(names, size)
            _write(self.folder / item.image, data)
            write_json(self.folder / f"{name}.json", item.to_json())
        return name

    def _weigh_more(self, name: str, reads: dict[str, QueuedRead]) -> str | None:
        with suppress(BadInput):  # a damaged item goes when room is made
            item = QueuedCrop.read(self.folder / f"{name}.json")
            if item.reason == UNSURE:
                write_json(self.folder / f"{name}.json", replace(item, reason=DISAGREEMENT, reads=item.reads | reads).to_json())
                return name
        return None

    def items(self) -> list[QueuedCrop]:
        """Return the whole items, oldest first; one that is damaged or too old is left out."""
        found = []
        for name in self._names() if self.folder.is_dir() else ():
            with suppress(BadInput, OSError):
                item = QueuedCrop.read(self.folder / f"{name}.json")
                inside = item.image.startswith(name) and "/" not in item.image
                if inside and not self._expired(item) and sha256_file(self.folder / item.image) == item.sha256:
                    found.append(item)
        return found

    def sweep(self) -> None:
        """Remove what is too old, also where no crop comes any more; a queue that somebody is just adding to is left to them."""
        if self.folder.is_dir():
            with suppress(BlockingIOError), self._locked(fcntl.LOCK_NB):
                self._make_room(self._names(), 0)

    def clear(self, items: list[QueuedCrop]) -> None:
        """Remove items, e.g. those that have been exported."""
        with self._locked():
            for item in items:
                self._remove(item.image.rpartition(".")[0])

    def export(self, out: Path, suggest: bool = False) -> list[QueuedCrop]:
        """Write crops, `labels.tsv` (plate_tsv: `path<TAB>text`) and `metadata.csv` (what was read) to a new folder.

        The texts are empty for a person to fill in: the audit refuses an empty label, so a machine's guess cannot slip
        into training. `suggest` fills in the champion's reading for correction.
        """
        out = Path(out)
        if out.exists():
            raise BadInput(str(out), "there is something already", "name a new folder")
        items = self.items()
        if not items:
            raise BadInput(str(self.folder), "no crop waits here for a label")
        with atomic_folder(out) as folder:
            make_folder(folder / "crops")
            for item in items:
                _write(folder / "crops" / item.image, (self.folder / item.image).read_bytes())
            guesses = [_plain(_champion(item)) if suggest else "" for item in items]
            lines = (f"crops/{item.image}\t{guess}\n" for item, guess in zip(items, guesses, strict=True))
            write_text(folder / "labels.tsv", "".join(lines))
            write_text(folder / "metadata.csv", _metadata(items))
        return items

    def _names(self) -> list[str]:
        names = (entry.name for entry in os.scandir(self.folder) if entry.name.endswith(".json"))
        return sorted(name.removesuffix(".json") for name in names if NAME.fullmatch(name.removesuffix(".json")))

    def _make_room(self, names: list[str], size: int) -> None:
        """Remove what is too old, then the oldest until `size` bytes fit; images without their JSON go, too."""
        sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in os.scandir(self.folder)}
        whole = set(names)
        for file in sizes:
            stem = file.partition(".")[0]
            if (NAME.fullmatch(stem) and stem not in whole) or file.endswith(".tmp"):
                (self.folder / file).unlink(missing_ok=True)
        of_item: dict[str, int] = dict.fromkeys(names, 0)
        for file, taken in sizes.items():
            if (stem := file.partition(".")[0]) in of_item:
                of_item[stem] += taken
        total = sum(of_item.values())
        for name in names:
            if total + size <= self._max_bytes and not self._too_old(name):
                continue
            self._remove(name)
            total -= of_item[name]

    def _too_old(self, name: str) -> bool:
        now = self._now()
        if now < SANE_S:
            return False
        try:
            item = QueuedCrop.read(self.folder / f"{name}.json")
        except BadInput:
            return True
        if item.seen_s < SANE_S:
            write_json(self.folder / f"{name}.json", item.to_json() | {"seen_s": now})
        return self._expired(item)

    def _expired(self, item: QueuedCrop) -> bool:
        return item.seen_s >= SANE_S and self._now() - item.seen_s > self._max_age_s

    def _remove(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)  # first: half an item is none
        for path in self.folder.glob(f"{name}.*"):
            path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, how: int = 0) -> Iterator[None]:
        make_folder(self.folder)
        with (self.folder / ".lock").open("a") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | how)
            yield


def _encoded(crop: np.ndarray | bytes) -> tuple[bytes, str]:
    if isinstance(crop, bytes):
        image = decode_image(crop, "crop")  # what cannot be read cannot be labelled
        for suffix, magic in ((".png", b"\x89PNG\r\n\x1a\n"), (".jpg", b"\xff\xd8")):
            if crop.startswith(magic):
                return crop, suffix
        crop = image
    if crop.dtype != np.uint8 or crop.ndim not in (2, 3) or 0 in crop.shape:
        raise BadInput("crop", f"expected a non-empty uint8 array (H,W) or (H,W,C), found {crop.dtype} {crop.shape}")
    return bytes(cv2.imencode(".png", crop)[1]), ".png"


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _champion(item: QueuedCrop) -> str:
    read = item.reads.get("champion") or next(iter(item.reads.values()), None)
    return read.text if read else ""


def _plain(text: str) -> str:
    return re.sub(r"[\t\r\n]", " ", text)


def _metadata(items: list[QueuedCrop]) -> str:
    roles = sorted({role for item in items for role in item.reads})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["path", "reason", "seen", *(f"{role}{what}" for role in roles for what in ("", "_confidence"))])
    for item in items:
        seen = datetime.fromtimestamp(item.seen_s, timezone.utc).isoformat(timespec="seconds")
        cells = [f"crops/{item.image}", item.reason, seen]
        for role in roles:
            read = item.reads.get(role)
            cells += [_plain(read.text), f"{read.confidence:.4f}"] if read else ["", ""]
        writer.writerow(cells)
    return buffer.getvalue()
