"""One self-contained page: before and after under a slider, the table, every score, and how to run it again.

- No request leaves the page: pictures are data URIs, script and style are inline, and the page's own security policy
  allows exactly these two (by hash) and nothing else. It works from a file, offline, and by mail.
- The pictures stand in plain HTML; the script reads them from there and hides them. Without scripts they are shown.
- All text from outside (file names, model names, notes) is escaped.
"""

import base64
import hashlib
import math
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlencode

from restorekit.report.audits import audit_html
from restorekit.report.encoding import Encoded, encode_pictures
from restorekit.report.record import CLEAN, ImageScore, MetricInfo, Picture, Report
from restorekit.report.renderings import best_flags, difference_texts, format_number, header_texts, row_texts
from restorekit.report.sheet import check_sizes
from restorekit.report.tables import Table

__all__ = ["render_page"]

BUDGET_BYTES = 9_500_000
"""For all pictures of a page: mail systems and issue trackers refuse attachments above 10 MB."""


def render_page(report: Report, *, budget_bytes: int = BUDGET_BYTES) -> str:
    """The whole page as HTML text.

    Args:
        report: with or without pictures; without any there is no slider, only the tables and the record.
        budget_bytes: for the encoded pictures; they are exact where they fit, coarser JPEG where they do not.

    Raises:
        UsageError: the pictures of one image differ in size.
    """
    table = report.table()
    encoded, encoding = encode_pictures(_shown_pictures(report, table), budget_bytes=budget_bytes)
    script, style = _source("page.js"), _source("page.css")
    policy = (
        f"default-src 'none'; img-src data:; script-src 'sha256-{_digest(script)}'; "
        f"style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'"
    )
    restorers = sum(model.kind != "input" for model in report.models)
    page = Template(_source("page.html")).substitute(
        policy=policy,
        script=script,
        style=style,
        version=escape(report.run.version),
        title=escape(f"Comparison under {report.run.degradation}" if report.run.degradation else "Comparison"),
        subtitle=escape(
            f"{table.title.partition(',')[0]} · {restorers} restorer{'s' * (restorers != 1)} · "
            f"{report.run.time:%Y-%m-%d %H:%M} UTC · restorekit {report.run.version}"
        ),
        encoding=escape(f"{encoding} Cap: {budget_bytes / 1e6:.1f} MB for all pictures.") if encoded else "",
        best=escape(_best_model(table)),
        means=_means(table),
        pairs=_pairs(report),
        audit=audit_html(report),
        notes="\n".join(_notes(table)),
        scores=_scores(report, encoded),
        gallery="\n".join(_article(report, name, answers) for name, answers in encoded.items()),
        record="\n".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in _record(report).items()),
    )
    return page


def _shown_pictures(report: Report, table: Table) -> Mapping[str, Mapping[str, Picture]]:
    """Pictures of the table's rows and of the reference, in that order."""
    labels = [*(row.model.name for row in table.rows), CLEAN]
    shown = {
        name: {label: report.pictures[name][label] for label in labels if label in report.pictures[name]}
        for name in report.images
        if name in report.pictures
    }
    for name, by_label in shown.items():
        check_sizes(name, by_label)
    return {name: by_label for name, by_label in shown.items() if by_label}


def _best_model(table: Table) -> str:
    """The model to show first: the best by the first metric, or the last where nothing was measured."""
    models = [row for row in table.rows if row.model.kind == "model"] or list(table.rows)
    if not table.columns:
        return models[-1].model.name
    sign = 1.0 if table.columns[0].higher_is_better else -1.0
    return max(models, key=lambda row: -math.inf if (mean := row.cells[0].mean) is None else sign * mean).model.name


def _means(table: Table) -> str:
    """The table of means; its first two columns are words."""
    header = "".join(
        f'<th scope="col"{_word(index)}>{escape(text)}</th>' for index, text in enumerate(header_texts(table))
    )
    lines = []
    for row in table.rows:
        cells = []
        for index, (text, best) in enumerate(zip(row_texts(table, row), best_flags(table, row), strict=True)):
            shown = f"<strong>{escape(text)}</strong>" if best else escape(text)
            note = f' title="{escape(row.model.note)}"' if index == 0 and row.model.note else ""
            cells.append(
                f'<th scope="row"{_word(0)}{note}>{shown}</th>' if index == 0 else f"<td{_word(index)}>{shown}</td>"
            )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return _table("", header, lines)


def _pairs(report: Report) -> str:
    """Every two restorers against each other, where there are two."""
    texts = ["restorer", "minus", "metric", "difference [95 %]", "p", "wins", "images"]
    words = [' class="word"'] * 3 + [""] * 4
    header = "".join(f'<th scope="col"{word}>{text}</th>' for word, text in zip(words, texts, strict=True))
    lines = []
    for pairing in report.pairs():
        cells = [pairing.first, pairing.second, pairing.metric.name, *difference_texts(pairing)]
        row = "".join(f"<td{word}>{escape(text)}</td>" for word, text in zip(words, cells, strict=True))
        lines.append(f"<tr>{row}</tr>")
    if not lines:
        return ""
    return (
        '<section aria-labelledby="pairs"><h2 id="pairs">Every pair</h2>\n'
        '<div class="scroll tall" tabindex="0" role="region" aria-labelledby="pairs">\n'
        f"{_table('', header, lines)}\n</div>\n"
        '<p class="muted small">First minus second on the same images; p is corrected by Holm over all pairs of a '
        "metric; n.s.: not significant; n&lt;9: too few images for so many pairs, 9 would be needed. Of the classical "
        "restorers the best on these images takes part.</p></section>"
    )


def _notes(table: Table) -> list[str]:
    addresses = " · ".join(
        f"<code>{escape(metric.address)}</code> (hash <code>{metric.protocol.short_hash}</code>)"
        for metric in table.columns
    )
    return [f"<li>{note}</li>" for note in [f"protocols: {addresses}", *map(escape, table.footnotes)]]


def _scores(report: Report, pictured: Mapping[str, Mapping[str, Encoded]]) -> str:
    """Every image with every model; a name leads to its picture, a click on a heading sorts (with scripts)."""
    headings = ["image", "restorer", *(metric.name for metric in report.metrics), "seconds"]
    header = "".join(f'<th scope="col"{_word(index)}>{escape(text)}</th>' for index, text in enumerate(headings))
    best = _best_by_image(report)
    lines = []
    for score in report.scores:
        cells = [f'<td class="word">{_picture_link(report, score, pictured)}</td>']
        cells.append(f'<td class="word">{escape(score.model)}</td>')
        for metric in report.metrics:
            value = score.scores.get(metric.address)
            text = format_number(value, metric.decimals)
            wins = _rounded(score, metric) is not None and _rounded(score, metric) == best[score.image, metric.address]
            cells.append(_number_cell(value, f"<strong>{text}</strong>" if wins else text))
        cells.append(_number_cell(score.seconds, format_number(score.seconds, 3)))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return _table(' id="scores"', header, lines)


def _best_by_image(report: Report) -> dict[tuple[str, str], float]:
    """Best value at the decimals shown, by image and metric address."""
    best: dict[tuple[str, str], float] = {}
    for score in report.scores:
        for metric in report.metrics:
            value = _rounded(score, metric)
            if value is not None:
                choose = max if metric.higher_is_better else min
                key = score.image, metric.address
                best[key] = choose(best.get(key, value), value)
    return best


def _rounded(score: ImageScore, metric: MetricInfo) -> float | None:
    value = score.scores.get(metric.address)
    return None if value is None or value != value else round(value, metric.decimals)


def _number_cell(value: float | None, text: str) -> str:
    """A cell that sorts by ``value``; JavaScript reads Infinity, and nothing where there is no number."""
    known = value is not None and value == value
    key = str(value).replace("inf", "Infinity") if known else ""
    return f'<td data-value="{key}">{text}</td>'


def _picture_link(report: Report, score: ImageScore, pictured: Mapping[str, Mapping[str, Encoded]]) -> str:
    if score.model not in pictured.get(score.image, {}):
        return escape(score.image)
    address = {"image": list(pictured).index(score.image) + 1, "left": report.input.name, "right": score.model}
    return f'<a href="#{escape(urlencode(address))}">{escape(score.image)}</a>'


def _article(report: Report, name: str, answers: Mapping[str, Encoded]) -> str:
    figures = []
    for label, picture in answers.items():
        scores = escape(_score_line(report, name, label))
        figures.append(
            f'<figure data-label="{escape(label)}" data-scores="{scores}">'
            f'<img src="{picture.uri}" width="{picture.width}" height="{picture.height}" loading="lazy" '
            f'decoding="async" alt="{escape(f"{name}: {label}")}">'
            f"<figcaption><b>{escape(label)}</b> {scores}</figcaption></figure>"
        )
    return (
        f'<article data-name="{escape(name)}"><h3>{escape(name)}</h3>\n'
        f'<div class="pictures">\n{chr(10).join(figures)}\n</div></article>'
    )


def _score_line(report: Report, name: str, label: str) -> str:
    """``PSNR 28.31 dB · SSIM 0.812`` of one picture."""
    found = report.find(name, label)
    if found is None:
        return "reference" if label == CLEAN else ""
    return " · ".join(
        f"{metric.name} {format_number(found.scores[metric.address], metric.decimals)} {metric.unit}".rstrip().replace(
            " ", "\N{NO-BREAK SPACE}"
        )
        for metric in report.metrics
        if metric.address in found.scores
    )


def _record(report: Report) -> dict[str, str]:
    """The run, in words."""
    run, machine = report.run, report.run.machine
    inputs = ", ".join(run.inputs[:20]) + (f" and {len(run.inputs) - 20} more" if len(run.inputs) > 20 else "")
    facts = {
        "command": run.command,
        "code": run.code,
        "time": f"{run.time:%Y-%m-%d %H:%M:%S} UTC",
        "degradation": run.degradation or "none: the inputs came as they are",
        "region": run.region or "whole images",
        "seed": str(run.seed),
        "device": f"{run.device}, {run.precision}",
        "machine": f"{machine.cpu}, {machine.cores} cores, {machine.os}",
        "software": f"Python {machine.python}, PyTorch {machine.torch}",
        "inputs": inputs or "not recorded",
    }
    notes = {f"about {model.name}": model.note for model in report.models if model.note}
    return facts | notes


def _table(attributes: str, header: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return f"<table{attributes}>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _word(index: int) -> str:
    return ' class="word"' if index < 2 else ""


def _source(name: str) -> str:
    return files("restorekit.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
