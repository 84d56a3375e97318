"""EXIF and TIFF directories as raw entries: values are moved byte for byte, never re-interpreted.

TIFF 6.0 section 2 and EXIF 2.32 section 4.6 describe the structure: a directory is a count, 12-byte entries
(tag, type, count, value or its offset), and the offset of the next directory. BigTIFF widens the numbers.

- An EXIF block is edited in place, so that maker notes, which hold absolute offsets, stay valid.
- A TIFF file gets its EXIF by a new first directory at its end: the old entries as they are, plus the EXIF ones.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from restorekit.core.image.formats.stream import Stream

__all__ = [
    "Directory",
    "Entry",
    "byte_order",
    "exif_from_tiff",
    "exif_orientation",
    "graft_exif",
    "read_exif",
    "upright_exif",
]

ByteOrder = Literal["<", ">"]

_VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_ORIENTATION = 0x0112
_POINTERS = {0x8769: "Exif", 0x8825: "GPS", 0xA005: "Interoperability"}
_SIDES = ((0x0100, 0x0101), (0xA002, 0xA003))  # (width, height) in the first and in the Exif directory
_THUMBNAIL_START, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_MAX_ENTRIES = 4096
_MAX_VALUE_BYTES = 1 << 20

# Tags that say how the pixels of one particular file are laid out, or that are carried on their own (ICC, XMP).
_STRUCTURE = frozenset(
    (
        *(*range(254, 269), 273, _ORIENTATION, *range(277, 285), *range(286, 294), 296, 301, *range(317, 348)),
        *(*range(512, 533), 559, 700, 34377, 34675, 37724, *_POINTERS, *range(50706, 51200)),
    )
)
_IMAGE_DESCRIPTION = 270
_SHAPE_DESCRIPTIONS = (b'{"shape"', b"ImageJ=", b"<?xml")  # written by programs for themselves, about one file's layout


@dataclass(frozen=True)
class Entry:
    """One directory entry; ``value`` is in the file's byte order."""

    tag: int
    kind: int
    count: int
    value: bytes
    at: int = 0
    """Where the entry stands in its file, in bytes."""
    is_field: bool = False
    """``value`` is the 4-byte value field itself (an offset, perhaps), to be copied as it is."""


@dataclass(frozen=True)
class Directory:
    """Entries, the directories that some tags point to, and the offset of the next directory."""

    entries: tuple[Entry, ...]
    children: Mapping[int, "Directory"] = field(default_factory=dict)
    following: int = 0

    def find(self, tag: int) -> Entry | None:
        """The entry with this tag, if there is one."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


def upright_exif(exif: bytes, *, swap_sides: bool) -> bytes:
    """The same block with Orientation 1 and no thumbnail; ``swap_sides`` swaps the recorded width and height.

    Raises:
        ValueError, struct.error: The block is damaged.
    """
    block = bytearray(exif)
    order, top = byte_order(exif), read_exif(exif)
    for entry in top.entries:
        if entry.tag == _ORIENTATION:
            struct.pack_into(f"{order}HHIHH", block, entry.at, _ORIENTATION, 3, 1, 1, 0)
    if swap_sides:
        for directory, tags in zip((top, top.children.get(0x8769)), _SIDES, strict=True):
            width, height = (directory.find(tag) if directory else None for tag in tags)
            if width and height:
                start, end = width.at + 2, height.at + 2
                block[start : start + 10], block[end : end + 10] = exif[end : end + 10], exif[start : start + 10]
    if top.following:
        _erase_thumbnail(block, top, order)
    return bytes(block)


def exif_orientation(exif: bytes) -> int | None:
    """The orientation tag, 1 to 8, or None if it is absent or makes no sense."""
    try:
        order, entry = byte_order(exif), read_exif(exif).find(_ORIENTATION)
    except (ValueError, struct.error):
        return None
    if entry is None or entry.kind != 3 or entry.count < 1:
        return None
    (value,) = struct.unpack(f"{order}H", entry.value[:2])
    return value if 1 <= value <= 8 else None


def byte_order(exif: bytes) -> ByteOrder:
    """``<`` for little-endian (II), ``>`` for big-endian (MM)."""
    return _read_header(io.BytesIO(exif))[0]


def exif_from_tiff(stream: Stream) -> bytes | None:
    """What a TIFF file says about its picture (camera, date, author, Exif, GPS) as an EXIF block, or None."""
    order, _, first = _read_header(stream)
    top = _descriptive(_read_directory(stream, first))
    if not top.entries and not top.children:
        return None
    return struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8) + _pack(top, order, 8)


def graft_exif(tiff: Stream, exif: bytes | None, *, extra: tuple[Entry, ...] = ()) -> None:
    """Add an EXIF block and ``extra`` entries to the first directory of a classic TIFF file, in place.

    Args:
        tiff: A whole file, open for reading and writing, in the byte order of ``exif``.
        exif: The block, or None.
        extra: Further entries with their values, for example the ICC profile.

    Raises:
        ValueError, struct.error: The block is damaged or in the other byte order; ``tiff`` is unchanged.
    """
    order, _, first = _read_header(tiff)
    if exif is not None and byte_order(exif) != order:
        raise ValueError("EXIF and TIFF have different byte orders")
    described = _descriptive(read_exif(exif)) if exif is not None else Directory(())
    tiff.seek(first)
    (count,) = struct.unpack(f"{order}H", tiff.read(2))
    entries = {}
    for tag, kind, length, value in struct.iter_unpack(f"{order}HHI4s", tiff.read(12 * count)):
        entries[tag] = Entry(tag, kind, length, value, is_field=True)
    for entry in (*described.entries, *extra):
        entries.setdefault(entry.tag, entry)
    end = tiff.seek(0, io.SEEK_END)
    base = end + end % 2
    tiff.write(b"\0" * (end % 2) + _pack(Directory(tuple(entries.values()), described.children), order, base))
    tiff.seek(4)
    tiff.write(struct.pack(f"{order}I", base))


def read_exif(exif: bytes) -> Directory:
    """The first directory of an EXIF block and those it points to; raises ValueError or struct.error if damaged."""
    stream = io.BytesIO(exif)
    return _read_directory(stream, _read_header(stream)[2])


def _read_header(stream: Stream) -> tuple[ByteOrder, bool, int]:
    """(byte order, is BigTIFF, offset of the first directory)."""
    stream.seek(0)
    head = stream.read(16)
    orders: dict[bytes, ByteOrder] = {b"II": "<", b"MM": ">"}
    order = orders.get(head[:2])
    if order is None or len(head) < 8:
        raise ValueError("no TIFF header")
    (version,) = struct.unpack_from(f"{order}H", head, 2)
    if version not in (42, 43):
        raise ValueError("no TIFF header")
    is_big = version == 43
    (first,) = struct.unpack_from(f"{order}Q", head, 8) if is_big else struct.unpack_from(f"{order}I", head, 4)
    return order, is_big, first


def _read_directory(stream: Stream, offset: int, *, depth: int = 0) -> Directory:
    """The directory at ``offset`` and those it points to; entries whose value lies outside the file are left out."""
    order, is_big, _ = _read_header(stream)
    counting, pointing = ("Q", "Q") if is_big else ("H", "I")
    width = struct.calcsize(f"{order}HH{pointing}{pointing}")
    stream.seek(offset)
    (count,) = struct.unpack(f"{order}{counting}", stream.read(struct.calcsize(f"{order}{counting}")))
    if count > _MAX_ENTRIES:
        raise ValueError(f"directory with {count} entries")
    start, table = stream.tell(), stream.read(count * width)
    tail = stream.read(struct.calcsize(f"{order}{pointing}"))
    following = struct.unpack(f"{order}{pointing}", tail)[0] if len(tail) == struct.calcsize(pointing) else 0
    entries, children = [], {}
    for index in range(len(table) // width):
        tag, kind, length = struct.unpack_from(f"{order}HH{pointing}", table, index * width)
        field_bytes = table[index * width + 4 + struct.calcsize(pointing) : (index + 1) * width]
        value = _read_value(stream, field_bytes, _VALUE_SIZES.get(kind, 0) * length, f"{order}{pointing}")
        if value is None:
            continue
        if tag in _POINTERS and depth < 2:
            target = int.from_bytes(value, "little" if order == "<" else "big")
            try:
                children[tag] = _read_directory(stream, target, depth=depth + 1)
            except (ValueError, struct.error):
                continue
        entries.append(Entry(tag, kind, length, value, start + index * width))
    return Directory(tuple(entries), children, following)


def _read_value(stream: Stream, field_bytes: bytes, size: int, pointing: str) -> bytes | None:
    """An entry's value from its field or from where the field points; None if absurd or outside the file."""
    if not 0 < size <= _MAX_VALUE_BYTES:
        return None
    if size <= len(field_bytes):
        return field_bytes[:size]
    stream.seek(struct.unpack(pointing, field_bytes)[0])
    value = stream.read(size)
    return value if len(value) == size else None


def _descriptive(directory: Directory) -> Directory:
    """Without the tags that describe the layout of pixels, which the writer of the new file sets."""
    entries = tuple(
        entry
        for entry in directory.entries
        if entry.tag not in _STRUCTURE
        and entry.kind <= 13
        and not (entry.tag == _IMAGE_DESCRIPTION and entry.value.lstrip().startswith(_SHAPE_DESCRIPTIONS))
    )
    return Directory(entries, directory.children)


def _pack(directory: Directory, order: ByteOrder, base: int) -> bytes:
    """The directory, its values and its children as they stand in a classic TIFF file from offset ``base``."""
    plain = [entry for entry in directory.entries if entry.tag not in _POINTERS and entry.kind <= 13]
    count = len(plain) + len(directory.children)
    values = bytearray()
    values_at = base + 2 + 12 * count + 4
    fields: dict[int, bytes] = {}
    for entry in plain:
        head = struct.pack(f"{order}HHI", entry.tag, entry.kind, entry.count)
        if entry.is_field or len(entry.value) <= 4:
            fields[entry.tag] = head + entry.value.ljust(4, b"\0")
        else:
            fields[entry.tag] = head + struct.pack(f"{order}I", values_at + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
    for tag, child in directory.children.items():
        at = values_at + len(values)
        fields[tag] = struct.pack(f"{order}HHII", tag, 4, 1, at)
        values += _pack(child, order, at)
    table = b"".join(fields[tag] for tag in sorted(fields))
    return struct.pack(f"{order}H", len(fields)) + table + b"\0\0\0\0" + bytes(values)


def _erase_thumbnail(block: bytearray, top: Directory, order: ByteOrder) -> None:
    """Unlink the second directory and blank its picture; cut it off where it ends the block, as it mostly does."""
    _, _, first = _read_header(io.BytesIO(block))
    (count,) = struct.unpack_from(f"{order}H", block, first)
    struct.pack_into(f"{order}I", block, first + 2 + 12 * count, 0)
    try:
        second = _read_directory(io.BytesIO(block), top.following)
    except (ValueError, struct.error):
        return
    start, length = (second.find(tag) for tag in (_THUMBNAIL_START, _THUMBNAIL_LENGTH))
    if start is None or length is None:
        return
    begin, size = (int.from_bytes(entry.value, "little" if order == "<" else "big") for entry in (start, length))
    end = min(begin + size, len(block))
    if not first + 2 + 12 * count + 4 <= begin < end:
        return
    block[begin:end] = bytes(end - begin)
    if len(block) - end <= 4:
        del block[begin:]
