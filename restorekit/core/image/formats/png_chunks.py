"""The chunks of a PNG file: read with every checksum verified, and written for the metadata that we carry.

PNG specification, third edition (W3C 2025): a chunk is a length, a type, data, and a CRC of type and data.

- Decoders fill what is missing without a word; here a missing end, a wrong CRC or a short stream is an error.
"""

import struct
import zlib
from dataclasses import dataclass, field

from restorekit.core.image.formats.kinds import truncated
from restorekit.core.image.formats.pixels import check_size
from restorekit.core.image.formats.stream import Stream
from restorekit.core.image.metadata import FileRecord, clean_dpi
from restorekit.errors import UnreadableImage

__all__ = ["PNG_SIGNATURE", "PngHeader", "PngScan", "chunk", "metadata_chunks", "png_record", "scan_png"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_XMP_KEYWORD = b"XML:com.adobe.xmp"
_METRES_PER_INCH = 0.0254
_MAX_METADATA_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class PngHeader:
    """The IHDR chunk."""

    width: int
    height: int
    bits: int
    """Per sample: 1, 2, 4, 8 or 16."""
    colour: int
    """0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha."""


@dataclass
class PngScan:
    """What a pass over the file found."""

    header: PngHeader
    blocks: dict[bytes, bytes] = field(default_factory=dict)
    """Chunks other than picture data, by type; the first of each, and only the XMP one of iTXt."""
    warnings: list[str] = field(default_factory=list)


def scan_png(stream: Stream, name: str, *, max_megapixels: float) -> PngScan:
    """Verify a PNG from signature to end, and collect its header and metadata without decoding.

    Raises:
        UnreadableImage: Truncated, or a critical chunk has a wrong checksum.
        OversizedImage: The header says more pixels than allowed.
    """
    stream.seek(8)
    header = _read_header(stream, name)
    check_size(header.width, header.height, name, max_megapixels)
    scan = PngScan(header)
    inflater = zlib.decompressobj()
    while True:
        head = stream.read(8)
        if len(head) < 8:
            raise truncated(name, "PNG")
        size, kind = struct.unpack(">I4s", head)
        if kind == b"IEND" and len(stream.read(4)) == 4:
            break
        critical = not kind[0] & 0x20
        data, crc = _read_data(stream, kind, size, inflater if header.bits == 16 else None)
        if len(check := stream.read(4)) < 4:
            raise truncated(name, "PNG")
        if struct.unpack(">I", check)[0] != crc:
            if critical:
                raise _damaged(name, f"wrong checksum in {_chunk_name(kind)}")
            scan.warnings.append(f"the PNG chunk {_chunk_name(kind)} is damaged: not carried over")
        elif kind != b"iTXt" or data.startswith(_XMP_KEYWORD + b"\0"):
            scan.blocks.setdefault(kind, data)
    if b"IDAT" not in scan.blocks:
        raise truncated(name, "PNG")
    if header.bits == 16 and not inflater.eof:
        raise truncated(name, "PNG")
    return scan


def png_record(scan: PngScan, name: str) -> FileRecord:
    """ICC, EXIF, XMP and resolution of a scanned PNG; damaged blocks add to ``scan.warnings``."""
    blocks = scan.blocks
    icc = xmp = dpi = None
    if b"iCCP" in blocks:
        icc = _inflated(blocks[b"iCCP"].partition(b"\0")[2][1:])
        if icc is None:
            scan.warnings.append("the ICC profile is damaged: not carried over")
    if b"iTXt" in blocks:
        xmp = _itxt_text(blocks[b"iTXt"])
        if xmp is None:
            scan.warnings.append("the XMP packet is damaged: not carried over")
    if len(physical := blocks.get(b"pHYs", b"")) == 9:
        across, down, unit = struct.unpack(">IIB", physical)
        dpi = clean_dpi(across * _METRES_PER_INCH, down * _METRES_PER_INCH) if unit == 1 else None
    if b"cICP" in blocks:
        scan.warnings.append("the colour coding chunk cICP (HDR or wide gamut) is not carried over")
    exif = blocks.get(b"eXIf", b"").removeprefix(b"Exif\0\0") or None
    return FileRecord(name=name, format="PNG", icc=icc or None, exif=exif, xmp=xmp or None, dpi=dpi)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its length and CRC."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def metadata_chunks(record: FileRecord) -> bytes:
    """The chunks to put right after IHDR (iCCP must come before any palette or picture data)."""
    parts = []
    if record.icc is not None:
        parts.append(chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(record.icc)))
    if record.dpi is not None:
        across, down = (round(value / _METRES_PER_INCH) for value in record.dpi)
        parts.append(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if record.exif is not None:
        parts.append(chunk(b"eXIf", record.exif))
    if record.xmp is not None:
        parts.append(chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + record.xmp))
    return b"".join(parts)


def _read_header(stream: Stream, name: str) -> PngHeader:
    head = stream.read(25)
    if len(head) < 25:
        raise truncated(name, "PNG")
    size, kind, width, height, bits, colour = struct.unpack_from(">I4sIIBB", head)
    if size != 13 or kind != b"IHDR" or struct.unpack(">I", head[21:])[0] != zlib.crc32(head[4:21]):
        raise _damaged(name, "a broken header")
    return PngHeader(width, height, bits, colour)


def _read_data(stream: Stream, kind: bytes, size: int, inflater: "zlib._Decompress | None") -> tuple[bytes, int]:
    """(data, CRC). Picture data is not kept, but inflated and discarded where an ``inflater`` is given."""
    crc = zlib.crc32(kind)
    if kind == b"IDAT" or size > _MAX_METADATA_BYTES:
        while size > 0 and (block := stream.read(min(size, _BLOCK_BYTES))):
            crc, size = zlib.crc32(block, crc), size - len(block)
            while kind == b"IDAT" and inflater is not None and block and not inflater.eof:
                inflater.decompress(block, _BLOCK_BYTES)
                block = inflater.unconsumed_tail
        return b"", crc
    data = stream.read(size)
    return data, zlib.crc32(data, crc)


def _itxt_text(data: bytes) -> bytes | None:
    """The text of an iTXt chunk: keyword 0, compressed?, method, language 0, translated keyword 0, text."""
    rest = data.partition(b"\0")[2]
    compressed, rest = rest[:1] == b"\1", rest[2:]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]
    return _inflated(text) if compressed else text


def _inflated(data: bytes) -> bytes | None:
    """Decompressed data; None if it is damaged or absurdly long."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, _MAX_METADATA_BYTES)
    except zlib.error:
        return None
    return plain if inflater.eof else None


def _chunk_name(kind: bytes) -> str:
    """The four letters of a chunk type, or their codes where damage made them something else."""
    return kind.decode("ascii") if kind.isalpha() else kind.hex()


def _damaged(name: str, what: str) -> UnreadableImage:
    return UnreadableImage(f"{name}: expected a sound PNG file, got {what}; copy or download it again")
