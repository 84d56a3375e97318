"""Whether images survive writing and reading, probed by doing it in memory."""

import io
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from restorekit.doctor.finding import Finding

__all__ = ["check_codecs", "check_metadata", "check_opencv"]


def check_opencv() -> Finding:
    """Does cv2 import, and is there only one of it?"""
    installed = [name for name in _OPENCVS if _installed(name)]
    renew = f"pip uninstall -y {' '.join(installed)} && " if installed else ""
    renew += "pip install opencv-python-headless"
    try:
        found = _opencv_version()
    except ImportError as error:
        why = "; the headless build needs no such library" if "libGL" in str(error) else ""
        return Finding("opencv", "problem", f"cv2 does not import: {error}{why}", renew)
    if len(installed) > 1:
        detail = f"{' and '.join(installed)} are all installed and overwrite each other's cv2"
        return Finding("opencv", "warning", detail, renew)
    return Finding("opencv", "ok", f"OpenCV {found}")


def check_codecs() -> Finding:
    """Do images of every format and depth come back as they were?"""
    failures = list(_codec_failures())
    if failures:
        fix = "pip install --force-reinstall --no-deps pillow opencv-python-headless tifffile"
        return Finding("codecs", "problem", f"these do not survive writing and reading: {'; '.join(failures)}", fix)
    return Finding("codecs", "ok", "PNG 8 and 16 bit, JPEG, WebP, TIFF 8, 16 and 32 bit, TIFF with LZW")


def check_metadata() -> Finding:
    """Do EXIF, ICC and XMP blocks come back as they were?"""
    lost = [f"{kind} loses {block}" for kind in ("PNG", "JPEG", "WEBP", "TIFF") for block in _lost_blocks(kind)]
    if lost:
        return Finding("metadata", "warning", "; ".join(lost), "pip install --upgrade pillow")
    return Finding("metadata", "ok", "EXIF, ICC and XMP survive in PNG, JPEG, WebP and TIFF")


_OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def _installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def _opencv_version() -> str:
    import cv2

    return str(cv2.__version__)


def _codec_failures() -> Iterator[str]:
    """Name and reason of every format that does not give back what it was given; the libraries are core.image's own."""
    import numpy as np

    ramp = np.linspace(0, 1, 8 * 8 * 3, dtype=np.float32).reshape(8, 8, 3)
    eight, sixteen = (ramp * 255).astype(np.uint8), (ramp * 65535).astype(np.uint16)
    attempts: list[tuple[str, Any, Callable[[Any], Any], int]] = [
        ("PNG 8 bit", eight, _through_opencv, 0),
        ("PNG 16 bit", sixteen, _through_opencv, 0),
        ("JPEG", eight, lambda samples: _through_pillow(samples, "JPEG", quality=100, subsampling=0), 8),
        ("WebP", eight, _from_pillow_to_opencv, 0),
        ("TIFF 8 bit", eight, _through_tifffile, 0),
        ("TIFF 16 bit", sixteen, _through_tifffile, 0),
        ("TIFF 32 bit", ramp, _through_tifffile, 0),
        ("TIFF with LZW", eight, lambda samples: _through_pillow(samples, "TIFF", compression="tiff_lzw"), 0),
    ]
    for name, samples, attempt, tolerance in attempts:
        try:
            error = np.abs(attempt(samples).astype(np.float64) - samples).max()
        except Exception as failure:
            yield f"{name} ({failure})"
        else:
            if error > tolerance:
                yield f"{name} (values change by up to {error:g})"


def _through_opencv(samples: Any) -> Any:
    import cv2

    return cv2.imdecode(cv2.imencode(".png", samples)[1], cv2.IMREAD_UNCHANGED)


def _through_pillow(samples: Any, kind: str, **options: Any) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(_saved(samples, kind, **options)))


def _from_pillow_to_opencv(samples: Any) -> Any:
    import cv2
    import numpy as np

    data = np.frombuffer(_saved(samples, "WEBP", lossless=True).getvalue(), np.uint8)
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    return decoded[..., ::-1]


def _through_tifffile(samples: Any) -> Any:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, samples, photometric="rgb", compression="zlib")
    return tifffile.imread(io.BytesIO(file.getvalue()))


def _saved(samples: Any, kind: str, **options: Any) -> io.BytesIO:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(samples).save(file, kind, **options)
    return file


def _lost_blocks(kind: str) -> list[str]:
    """Which of EXIF, ICC and XMP a file of this kind does not give back."""
    from PIL import Image, ImageCms, PngImagePlugin

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    exif = Image.Exif()
    exif[0x0110] = "restorekit"  # camera model
    options: dict[str, Any] = {"exif": exif, "icc_profile": icc, "xmp": xmp}
    if kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    if kind == "TIFF":
        exif[0x02BC] = xmp  # TIFF keeps XMP as a tag
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind, **options)
    with Image.open(file) as image:
        kept = {
            "EXIF": image.getexif().get(0x0110) == "restorekit",
            "ICC": image.info.get("icc_profile") == icc,
            "XMP": image.info.get("xmp") == xmp,
        }
    return [block for block, is_kept in kept.items() if not is_kept]
