"""Every score as a Parquet file, through pyarrow (optional: ``pip install "restorekit[parquet]"``)."""

import importlib
import importlib.util
import io

from restorekit.errors import DependencyError
from restorekit.report.data import score_records
from restorekit.report.record import Report

__all__ = ["check_pyarrow", "scores_parquet"]


def scores_parquet(report: Report) -> bytes:
    """``score_records`` as one Parquet file, column types as in ``scores.csv``.

    Raises:
        DependencyError: pyarrow is not installed.
    """
    check_pyarrow()
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    kinds = {"value": "float64", "seconds": "float64", "megapixels": "float64", "seed": "int64", "peak_bytes": "int64"}
    names = ("image", "model", "kind", "metric", "value", "unit", "seconds", "megapixels", "seed", "peak_bytes")
    schema = arrow.schema([(name, kinds.get(name, "string")) for name in names])
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(list(score_records(report)), schema=schema), buffer)
    return buffer.getvalue()


def check_pyarrow() -> None:
    """Raise DependencyError unless pyarrow is installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise DependencyError(
            'parquet: expected pyarrow, which is not installed; pip install "restorekit[parquet]", or read scores.csv: '
            "it holds the same records"
        )
