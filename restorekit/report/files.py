"""A report's folder: what is written there, and how it is read back.

- Every file appears whole or not at all (written beside its place, then moved there).
- Only files of an earlier report are replaced: a folder that holds an ``index.html`` of someone else is refused.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from restorekit.core.atomic import write_bytes
from restorekit.errors import UsageError, did_you_mean
from restorekit.report.record import Report

__all__ = ["EXTRAS", "FORMAT", "check_extras", "check_folder", "load", "save", "to_json"]

FORMAT = "restorekit-report/1"
"""First key of report.json: how a folder says that it is ours."""

FILES = ("report.json", "table.md", "table.csv", "scores.csv", "sheet.png", "index.html")
EXTRAS = {"latex": "table.tex", "parquet": "scores.parquet"}
"""Written only when asked for."""


def save(report: Report, folder: Path, *, extras: Sequence[str] = ()) -> list[Path]:
    """Write the record, the table, the scores, the contact sheet and the page.

    Args:
        report: sheet.png is written only if it has pictures; the page then has its slider.
        folder: made if it is absent.
        extras: "latex" for table.tex, "parquet" for scores.parquet, which needs pyarrow.

    Returns:
        The files written, report.json first.

    Raises:
        DependencyError: parquet without pyarrow; nothing is written.
        UsageError: another extra; the folder holds one of the names, but no report of ours; or ``folder`` is a file.
    """
    from restorekit.report.audits import audit_markdown
    from restorekit.report.data import scores_csv
    from restorekit.report.page import render_page
    from restorekit.report.parquet import scores_parquet
    from restorekit.report.sheet import draw_sheet

    folder = Path(folder)
    check_extras(extras)
    check_folder(folder)
    table = report.table()
    # The record is made before the folder is touched, and comes first: it marks the folder as ours.
    contents = {
        "report.json": to_json(report).encode(),
        "table.md": "\n".join(filter(None, [table.to_markdown(), audit_markdown(report)])).encode(),
        "table.csv": table.to_csv().encode(),
        "scores.csv": scores_csv(report).encode(),
        "index.html": render_page(report).encode(),
    }
    if report.pictures:
        contents["sheet.png"] = _png(draw_sheet(report))
    if "latex" in extras:
        contents["table.tex"] = table.to_latex().encode()
    if "parquet" in extras:
        contents["scores.parquet"] = scores_parquet(report)
    folder.mkdir(parents=True, exist_ok=True)
    names = (*FILES, *EXTRAS.values())
    for stale in set(names) - set(contents):
        (folder / stale).unlink(missing_ok=True)
    return [write_bytes(folder / name, contents[name]) for name in names if name in contents]


def check_extras(extras: Sequence[str]) -> None:
    """Raise UsageError for an extra that there is not, DependencyError for one that cannot be written here."""
    for name in extras:
        if name not in EXTRAS:
            raise UsageError(f"extra: expected {' or '.join(EXTRAS)}, got {name!r}" + did_you_mean(name, EXTRAS))
    if "parquet" in extras:
        from restorekit.report.parquet import check_pyarrow

        check_pyarrow()


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
    for computed in ("table", "pairs"):
        record.pop(computed, None)  # computed from the scores, for other programs to read
    try:
        return Report.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "report"
        raise UsageError(f"{file}: expected a valid {key}, got {first['msg']}; compare again") from error


def to_json(report: Report) -> str:
    """The record with its computed table and pairs, as JSON text that ``load`` reads back without loss."""
    from restorekit.report.pairs import pairs_json

    computed = {"table": report.table().to_json(), "pairs": pairs_json(report)}
    record = {"format": FORMAT, **json.loads(report.model_dump_json()), **computed}
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def check_folder(folder: Path) -> None:
    """Raise UsageError unless a report may be written into ``folder``: it is absent, holds none, or one of ours."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder, got a file; choose another name")
    present = [name for name in (*FILES, *EXTRAS.values()) if (folder / name).exists()]
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
