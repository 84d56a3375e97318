"""What a comparison found: the record, its table, the contact sheet and the one-file page.

Nothing here restores or measures; nothing here needs torch.
"""

from restorekit.report.columns import Cell, Difference
from restorekit.report.overview import Overview, build_overview, overview_markdown, render_overview
from restorekit.report.page import render_page
from restorekit.report.pairs import Pairing, build_pairs
from restorekit.report.record import ImageScore, Machine, MetricInfo, ModelInfo, Picture, Report, RunRecord
from restorekit.report.sheet import draw_sheet
from restorekit.report.tables import Row, Table, build_table

__all__ = [
    "Cell",
    "Difference",
    "ImageScore",
    "Machine",
    "MetricInfo",
    "ModelInfo",
    "Overview",
    "Pairing",
    "Picture",
    "Report",
    "Row",
    "RunRecord",
    "Table",
    "build_overview",
    "build_pairs",
    "build_table",
    "draw_sheet",
    "overview_markdown",
    "render_overview",
    "render_page",
]
