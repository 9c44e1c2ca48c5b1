"""A bundle on disk: opened only if every file is the one that its manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_bytes, sha256_file
from glyphyard.core.pixels import PixelContract
from glyphyard.edge.golden import EXPORT_AGAIN, pack_arrays, unpack_arrays
from glyphyard.edge.manifest import GOLDEN, MANIFEST, BundleManifest, read_manifest


@dataclass(frozen=True)
class Golden:
    """Crops with what the bundle read when it was made: images (N,H,W[,C]) uint8, N texts, logits (T,N,C) float32."""

    images: np.ndarray
    texts: list[str]
    logits: np.ndarray


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; get one from `Bundle.open`. `sha256` is the manifest's, so it stands for every file in it."""

    folder: Path
    manifest: BundleManifest
    alphabet: Alphabet
    pixels: PixelContract
    sha256: str
    verify: bool = True

    @classmethod
    def open(cls, folder: Path | str, verify: bool = True) -> Bundle:
        """Open a bundle's folder (or a link to one); anything missing, altered, strange or outside it is a `BadInput`.

        `verify=False` skips the hashes (for a folder that was verified when it was installed), never the other checks.
        """
        root = Path(folder).resolve()
        path = _inside(root, MANIFEST)
        manifest = read_manifest(path)
        bundle = cls(
            root,
            manifest,
            Alphabet(manifest.alphabet, manifest.fold),
            PixelContract.from_json(manifest.pixels, str(path)),
            sha256_file(path),
            verify,
        )
        for name, expected in manifest.files.items():
            file = _inside(root, name)
            if verify:
                _same_hash(file, expected, sha256_file(file))
        return bundle

    def read(self, name: str) -> bytes:
        """Return a file's bytes; they are hashed again, so what is used is what was checked."""
        if name not in self.manifest.files:
            raise BadInput(f"{self.folder}/{name}", "this file is not in bundle.json", EXPORT_AGAIN)
        path = _inside(self.folder, name)
        data = path.read_bytes()
        if self.verify:
            _same_hash(path, self.manifest.files[name], sha256_bytes(data))
        return data

    def golden(self) -> Golden:
        """Return the golden crops; shapes that do not fit the bundle's own pixels or alphabet are a `BadInput`."""
        where = str(self.folder / GOLDEN)
        golden = _unpack_golden(self.read(GOLDEN), where)
        pixels, count = self.pixels, len(golden.texts)
        frame = (pixels.height, pixels.width) if pixels.channels == 1 else (pixels.height, pixels.width, pixels.channels)
        if golden.images.shape != (count, *frame) or golden.images.dtype != np.uint8 or not count:
            found = f"{count} texts with {golden.images.dtype} images of {golden.images.shape}"
            raise BadInput(where, f"expected at least one uint8 image of {frame}, found {found}", EXPORT_AGAIN)
        if golden.logits.ndim != 3 or golden.logits.shape[1:] != (count, self.alphabet.num_classes):
            expected = f"(T, {count}, {self.alphabet.num_classes})"
            raise BadInput(where, f"expected logits {expected} for this alphabet, found {golden.logits.shape}", EXPORT_AGAIN)
        return golden


def read_checked(root: Path, name: str, sha256: str, verify: bool = True) -> bytes:
    """Return the bytes of the plain file `name` of folder `root`; another hash, a link or a way out of it is a `BadInput`."""
    path = _inside(root, name)
    data = path.read_bytes()
    if verify:
        _same_hash(path, sha256, sha256_bytes(data))
    return data


def verify_files(root: Path, files: Mapping[str, str]) -> str:
    """Hold the files of folder `root` against their SHA-256 and return bundle.json's; what `read_checked` refuses is refused here, too."""
    for name, expected in files.items():
        file = _inside(root, name)
        _same_hash(file, expected, sha256_file(file))
    return sha256_file(_inside(root, MANIFEST))


def _inside(root: Path, name: str) -> Path:
    """Return the plain file `name` of folder `root`; links and ways out of the folder are refused."""
    relative = PurePosixPath(name)
    strange = relative.is_absolute() or not relative.parts or ".." in relative.parts or str(relative) != name
    if strange or any(c in name for c in "\\\0"):
        raise BadInput(str(root), f"expected file names inside the bundle, found {name!r}", EXPORT_AGAIN)
    path = root
    for part in relative.parts:
        path = path / part
        if path.is_symlink():
            raise BadInput(str(path), "expected a plain file, found a symbolic link", "copy the files, not links to them")
    if not path.is_file():
        raise BadInput(str(path), "expected a file of the bundle, found none", EXPORT_AGAIN)
    return path


def _same_hash(path: Path, expected: str, found: str) -> None:
    if expected != found:
        raise BadInput(str(path), f"expected SHA-256 {expected[:16]}…, found {found[:16]}… (altered or cut short)", EXPORT_AGAIN)


def pack_golden(golden: Golden) -> bytes:
    """Return golden.npz as bytes, the same for the same content."""
    texts = np.array(golden.texts, dtype=np.str_)
    return pack_arrays(images=golden.images, texts=texts, logits=golden.logits.astype(np.float32))


def _unpack_golden(data: bytes, where: str) -> Golden:
    images, texts, logits = unpack_arrays(data, where, "images", "texts", "logits")
    return Golden(images, [str(text) for text in texts], logits)
