"""All sets of a suite in one table: each column under its own protocol, and a page that asks for nothing."""

import base64
import hashlib
import re

import pytest

from restorekit.errors import UsageError
from restorekit.report import MetricInfo, ModelInfo, build_overview, overview_markdown, render_overview
from restorekit.report.overview import check_page

PSNR = MetricInfo(address="psnr[rgb|per-image|u8|crop0]", name="PSNR", unit="dB", decimals=2)
LUMA = MetricInfo(address="psnr[y-studio|per-image|u8|crop4]", name="PSNR", unit="dB", decimals=2)
LPIPS = MetricInfo(address="lpips[rgb|per-image|u8|crop0|net=alex]", name="LPIPS", decimals=3, higher_is_better=False)
PAGES = {"noise 25": "noise_25/index.html", "rain": "rain/index.html", "night|dark": "night_dark/index.html"}


@pytest.fixture
def overview(report_of):
    kinds = {"classical:nlm": "classical"}
    start, better = [20.0 + i for i in range(8)], [21.0 + 1.1 * i for i in range(8)]
    noise = report_of({"input": start, "net": better, "classical:nlm": [19.0] * 8}, kinds=kinds, metrics=(PSNR,))
    rain = report_of({"input": [25.0, 27.0], "classical:nlm": [26.0, 28.5]}, kinds=kinds, metrics=(LUMA,))
    rain = rain.model_copy(update={"models": (*rain.models, ModelInfo(name="net", failed="no <licence>"))})
    night = report_of({"input": [0.5] * 3, "only <here>": [0.4] * 3}, metrics=(LPIPS,))
    reports = {"noise 25": noise, "rain": rain, "night|dark": night}
    return build_overview("All & sundry", reports, {"fog": "fog/clean is absent"})


def cells(text):
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_rows_are_restorers_and_columns_are_sets(overview):
    found = cells(overview_markdown(overview))
    assert list(found)[2:] == ["input", "classical:nlm", "net", r"only \<here\>"]
    assert found["restorer"] == ["kind", "noise 25: PSNR (dB) ↑", "rain: PSNR (dB) ↑", r"night\|dark: LPIPS ↓"]
    assert found["input"] == ["input", "23.50", "26.00", "0.500"]
    assert found["classical:nlm"] == ["classical", "19.00 (-4.50)", "**27.25** (+1.25)", "–"]
    assert found["net"] == ["model", "**24.85** (+1.35)", "failed", "–"]
    assert found[r"only \<here\>"] == ["model", "–", "–", "**0.400** (-0.100)"]


def test_doubt_of_a_difference_is_that_of_the_sets_own_table(report_of):
    values = {"input": [20.0 + i for i in range(8)]}
    values["same"] = [value + (-1) ** i for i, value in enumerate(values["input"])]
    many = values | {f"c{k}": [21.0 + 1.1 * i for i in range(8)] for k in range(7)}
    report = report_of(many, kinds={f"c{k}": "classical" for k in range(7)}, metrics=(PSNR,))
    found = cells(overview_markdown(build_overview("t", {"a": report})))
    assert found["same"][1] == "23.50 (+0.00 n.s.)"
    assert found["c0"][1] == r"**24.85** (+1.35 n\<9)"


def test_every_column_states_its_protocol_and_conditions(overview):
    text = overview_markdown(overview)
    for line in (
        "- noise 25: `psnr[rgb|per-image|u8|crop0]`, 8 images, noise:sigma=25",
        "- rain: `psnr[y-studio|per-image|u8|crop4]`, 2 images, noise:sigma=25",
        "- fog: not measured: fog/clean is absent",
    ):
        assert line in text.splitlines()


def test_page_links_to_every_set_and_asks_for_nothing_else(overview):
    page = render_overview(overview, PAGES)
    assert set(re.findall(r'(?:href|src)="([^"]*)"', page)) == set(PAGES.values())
    assert "<script" not in page
    assert "url(" not in page
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none'; ")


def test_page_holds_the_table_protocols_failures_and_run_escaped(overview):
    page = render_overview(overview, PAGES)
    for text in (
        "<title>All &amp; sundry</title>",
        "<td><strong>24.85</strong> (+1.35)</td>",
        "only &lt;here&gt;",
        "rain: net: failed: no &lt;licence&gt;",
        "<code>psnr[y-studio|per-image|u8|crop4]</code>, 2 images, noise:sigma=25",
        "fog: not measured: fog/clean is absent",
        "<dd>restorekit 1.2.3</dd>",
    ):
        assert text in page
    assert "$" not in page.partition("<body>")[2]
    assert "\0" not in page


def test_only_a_page_of_ours_is_replaced(overview, tmp_path, pictured):
    check_page(tmp_path / "absent")
    (tmp_path / "index.html").write_text(render_overview(overview, PAGES))
    check_page(tmp_path)
    pictured.save(tmp_path / "comparison")
    for folder in (tmp_path / "comparison", tmp_path / "mine"):
        folder.mkdir(exist_ok=True)
        if folder.name == "mine":
            (folder / "index.html").write_text("<p>mine</p>")
        with pytest.raises(UsageError, match=r"got an index\.html that bench did not write; choose another folder"):
            check_page(folder)


def test_overview_page_is_sound_in_a_browser(browser, overview, tmp_path):
    page = tmp_path / "index.html"
    page.write_text(render_overview(overview, PAGES))
    browser.open(page, width=390)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.run("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"
