"""Benchmark suites: which data sets, degraded how, measured how; as TOML that ships in the package.

- A suite's sets are known ones (``dataset = "lol-v1"``) or folders, both below ``--data``. A set that is not there
  keeps its row: "not measured: ...".
- Every set has a table of its own, under its own protocol: numbers of two protocols never meet.
"""

from restorekit.suite.definition import DataSet, Suite, load_suite
from restorekit.suite.result import RESULT, SuiteResult, load_result, report_folder, scores_of
from restorekit.suite.run import run_suite

__all__ = [
    "RESULT",
    "DataSet",
    "Suite",
    "SuiteResult",
    "load_result",
    "load_suite",
    "report_folder",
    "run_suite",
    "scores_of",
]
