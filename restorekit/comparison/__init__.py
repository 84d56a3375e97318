"""The same photos through several restorers, measured under one protocol: ``compare_subjects`` makes a ``Report``.

- Every restorer sees the same degraded pixels, in memory and as drawn: no file clips noise that leaves [0, 1].
- The degraded input and all classical restorers are always among the rows.
- Scores are taken on at most ``region_megapixels`` of an image, the same centred region for every row; classical
  restorers run on that region only, so that a large photo does not make their rows cost minutes.
- With a journal every finished restoration is kept at once; an interrupted comparison goes on where it stopped.
"""

from restorekit.comparison.journal import clear_journal
from restorekit.comparison.options import ComparisonOptions
from restorekit.comparison.rows import INPUT, centred_region
from restorekit.comparison.run import compare_subjects
from restorekit.comparison.sources import find_subjects
from restorekit.comparison.subjects import Subject, degraded_subjects, paired_subjects

__all__ = [
    "INPUT",
    "ComparisonOptions",
    "Subject",
    "centred_region",
    "clear_journal",
    "compare_subjects",
    "degraded_subjects",
    "find_subjects",
    "paired_subjects",
]
