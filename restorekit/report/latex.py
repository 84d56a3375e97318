r"""The table for a paper: ``booktabs`` rules, best values bold, footnotes below; nothing but ``\usepackage{booktabs}``.

Rows and columns are those of every other rendering. Text from outside is escaped; a minus is a minus, not a hyphen.
"""

import re

from restorekit.report.renderings import best_flags, header_texts, protocol_line, row_texts
from restorekit.report.tables import Row, Table

__all__ = ["to_latex"]

ESCAPES = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "∞": r"$\infty$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
}


def to_latex(table: Table) -> str:
    r"""A ``table`` float; the groups input, classical and models are parted by ``\midrule``."""
    header = header_texts(table)
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering\small",
        rf"\caption{{{escape(table.title)}. {escape(protocol_line(table))}.}}",
        rf"\begin{{tabular}}{{ll{'r' * (len(header) - 2)}}}",
        r"\toprule",
        " & ".join(escape(text) for text in header) + r" \\",
    ]
    group: str = ""
    for row in table.rows:
        lines += [r"\midrule"] * (row.model.kind != group) + [_line(table, row)]
        group = row.model.kind
    notes = [rf"\par {escape(note)}." for note in table.footnotes]
    lines += [r"\bottomrule", r"\end{tabular}", r"\begin{flushleft}\footnotesize", *notes, r"\end{flushleft}"]
    return "\n".join([*lines, r"\end{table}", ""])


def escape(text: str) -> str:
    r"""``text`` as LaTeX shows it.

    >>> escape("50 % of a_b")
    '50 \\% of a\\_b'
    """
    text = "".join(ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
    return re.sub(r"(?<![\w.])-(?=\d|\$)", "$-$", text)  # a sign, not a hyphen inside a word


def _line(table: Table, row: Row) -> str:
    texts = zip(row_texts(table, row), best_flags(table, row), strict=True)
    return " & ".join(rf"\textbf{{{escape(text)}}}" if best else escape(text) for text, best in texts) + r" \\"
