"""Is an encoded image all there: asked before a decoder, whose own complaint goes to stderr and names no file."""

from __future__ import annotations

import re
import struct
import zlib

END_OF_JPEG = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xff]")  # what follows any number of fill bytes; FF 00 is a byte of the picture
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: restarts and the like
_DECODED = (b"IHDR", b"IDAT")  # a wrong checksum of these ends the decoding


def missing_end(data: bytes) -> str | None:
    """Say what a PNG or JPEG lacks ("a truncated JPEG (...)"), or None: it is whole, or of another format."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data)
    # A look at the last bytes is enough for nearly all; some cameras write more after the end.
    if data[:2] == b"\xff\xd8" and END_OF_JPEG not in data[-64:] and not _jpeg_ends(data):
        return "truncated JPEG (it has no end marker)"
    return None


def _png(data: bytes) -> str | None:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind == b"IEND":
            return None
        if kind in _DECODED and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"damaged PNG (the checksum of {kind.decode()} at byte {at} is wrong)"
        at = end
    return "truncated PNG (it stops before its end chunk)"


def _jpeg_ends(data: bytes) -> bool:
    """Walk from marker to marker, over what they skip (a thumbnail has an end of its own), to the end marker."""
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == END_OF_JPEG[1]:
            return True
        if marker not in _BARE:
            at += int.from_bytes(data[at : at + 2], "big")
    return False
