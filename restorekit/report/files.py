"""A report's folder: what is written there, and how it is read back.

- Every file appears whole or not at all (written beside its place, then moved there).
- Only files of an earlier report are replaced: a folder that holds an ``index.html`` of someone else is refused.
"""

import io
import json
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from restorekit.core.atomic import write_bytes
from restorekit.errors import UsageError
from restorekit.report.record import Report

__all__ = ["FORMAT", "load", "save", "to_json"]

FORMAT = "restorekit-report/1"
"""First key of report.json: how a folder says that it is ours."""

FILES = ("report.json", "table.md", "table.csv", "scores.csv", "sheet.png", "index.html")


def save(report: Report, folder: Path) -> list[Path]:
    """Write the record, the table, the scores, the contact sheet and the page.

    Args:
        report: sheet.png is written only if it has pictures; the page then has its slider.
        folder: made if it is absent.

    Returns:
        The files written, report.json first.

    Raises:
        UsageError: the folder holds one of the names, but no report of ours; or ``folder`` is a file.
    """
    from restorekit.report.page import render_page
    from restorekit.report.renderings import scores_csv
    from restorekit.report.sheet import draw_sheet

    folder = Path(folder)
    _check_ours(folder)
    table = report.table()
    # The record is made before the folder is touched, and comes first: it marks the folder as ours.
    contents = {
        "report.json": to_json(report).encode(),
        "table.md": table.to_markdown().encode(),
        "table.csv": table.to_csv().encode(),
        "scores.csv": scores_csv(report).encode(),
        "index.html": render_page(report).encode(),
    }
    if report.pictures:
        contents["sheet.png"] = _png(draw_sheet(report))
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(FILES) - set(contents):
        (folder / stale).unlink(missing_ok=True)
    return [write_bytes(folder / name, contents[name]) for name in FILES if name in contents]


def load(path: Path) -> Report:
    """Read a report from its folder or its report.json; pictures are not stored.

    Raises:
        UsageError: there is no report, or it cannot be understood.
    """
    path = Path(path)
    file = path / "report.json" if path.is_dir() else path
    try:
        record = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{file}: expected a report, got no such file; give the folder of a comparison") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: expected JSON, got {error}; give the folder of a comparison") from error
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise UsageError(f"{file}: expected a report of format {FORMAT}, got another kind of JSON")
    record.pop("table", None)  # computed from the scores, for other programs to read
    try:
        return Report.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "report"
        raise UsageError(f"{file}: expected a valid {key}, got {first['msg']}; compare again") from error


def to_json(report: Report) -> str:
    """The record with its computed table, as JSON text that ``load`` reads back without loss."""
    record = {"format": FORMAT, **json.loads(report.model_dump_json()), "table": report.table().to_json()}
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _check_ours(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder, got a file; choose another name")
    present = [name for name in FILES if (folder / name).exists()]
    if present and not _is_report(folder / "report.json"):
        raise UsageError(
            f"{folder}: expected an empty folder or an earlier report, got {', '.join(present)} not written by "
            "restorekit; choose another folder"
        )


def _is_report(file: Path) -> bool:
    """Whether ``file`` is a report of any version."""
    try:
        record = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and str(record.get("format")).startswith(FORMAT.partition("/")[0])


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
