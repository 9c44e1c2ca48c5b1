"""How large an encoded image says it is, from its first bytes: asked before a decoder makes room for it."""

from __future__ import annotations

import struct

WIDTH_TAG, HEIGHT_TAG = 256, 257  # TIFF
SHORT = 3


def header_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a PNG, JPEG, BMP, WebP, GIF or TIFF; None where the format is another or the header broken."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return struct.unpack_from(">II", data, 16)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data[:2] == b"BM":
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(width), abs(height)  # a negative height means rows from the top
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:4] == b"GIF8":
            return struct.unpack_from("<HH", data, 6)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(data, "<" if data[:2] == b"II" else ">")
    except struct.error:
        return None
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(data: bytes, order: str) -> tuple[int, int] | None:
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    found = {}
    for i in range(entries):
        tag, kind = struct.unpack_from(f"{order}HH", data, start + 2 + 12 * i)
        if tag in (WIDTH_TAG, HEIGHT_TAG):
            found[tag] = struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", data, start + 10 + 12 * i)[0]
    return (found[WIDTH_TAG], found[HEIGHT_TAG]) if len(found) == 2 else None
