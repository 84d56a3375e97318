"""The page in a real browser: the slider moves, the view is shareable, nothing complains."""

import pytest

from restorekit.report import render_page


@pytest.fixture(scope="module")
def page(pictured, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(render_page(pictured))
    return file


def box(browser, element):
    return browser.run(f"document.getElementById({element!r}).getBoundingClientRect().toJSON()")


def shown(browser, side):
    """Fraction of the stage that the left picture covers, as drawn."""
    style = browser.run("getComputedStyle(document.getElementById('left-layer')).clipPath")
    hidden = float(style.split()[1].removesuffix("px"))
    width = browser.run("document.getElementById('stage').clientWidth")
    return (width - hidden) / width if side == "left" else hidden / width


def test_page_loads_without_errors_and_asks_for_nothing(browser, page):
    browser.open(page)
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.view()["left"] == "input"
    assert browser.view()["right"] == "good"  # the best model
    assert browser.run("document.getElementById('left-picture').naturalWidth") == 200


def test_address_sets_the_view(browser, page):
    browser.open(page, address="#image=2&left=clean&right=bad%7C%3Ci%3E&split=30&zoom=4&x=0.25&y=0.75")
    view = browser.view()
    assert (view["image"], view["left"], view["right"]) == ("2", "clean", "bad|<i>")
    assert (view["split"], view["zoom"]) == ("30", "4")
    assert browser.run("document.getElementById('image').selectedOptions[0].text") == "plain.png"
    assert browser.run("document.getElementById('left-picture').alt") == "plain.png: clean"


@pytest.mark.parametrize(
    "address", ["#image=99&split=-5&zoom=9&left=nobody", "#image=x&split=&x=1e99", "#%%%", "#split=NaN"]
)
def test_nonsense_in_the_address_is_ignored(browser, page, address):
    browser.open(page, address=address)
    assert browser.complaints() == []
    assert browser.view()["left"] == "input"
    assert browser.view()["zoom"] == "fit"


def test_mouse_drag_moves_the_divider_and_the_address_follows(browser, page):
    browser.open(page)
    stage = box(browser, "stage")
    middle = stage["y"] + stage["height"] / 2
    browser.drag((stage["x"] + stage["width"] * 0.5, middle), (stage["x"] + stage["width"] * 0.25, middle))
    left = box(browser, "left-picture")
    expected = 100 * (stage["x"] + stage["width"] * 0.25 - left["x"]) / left["width"]
    assert float(browser.view()["split"]) == pytest.approx(expected, abs=0.5)
    assert shown(browser, "left") == pytest.approx(0.25, abs=0.01)
    address = browser.run("new Promise(done => setTimeout(() => done(location.hash), 400))")
    assert f"split={float(browser.view()['split']):g}" in address
    assert browser.complaints() == []


def test_arrow_keys_move_the_slider(browser, page):
    browser.open(page, address="#split=50")
    browser.run("document.getElementById('split').focus()")
    for _ in range(4):
        browser.key("ArrowRight")
    assert browser.view()["split"] == "52"
    assert browser.run("document.getElementById('split').getAttribute('aria-valuetext')") == "52 % input, the rest good"


def test_zoomed_pictures_move_together_by_mouse_and_keys(browser, page):
    browser.open(page, address="#image=2&zoom=4", width=500, height=600)
    stage = box(browser, "stage")
    start = (stage["x"] + 60, stage["y"] + 60)
    before = box(browser, "left-picture")
    browser.drag(start, (start[0] + 40, start[1] + 25))
    moved = box(browser, "left-picture")
    assert (moved["x"] - before["x"], moved["y"] - before["y"]) == (pytest.approx(40, abs=1), pytest.approx(25, abs=1))
    assert box(browser, "right-picture") == moved
    assert moved["width"] == pytest.approx(4 * 200)
    browser.run("document.getElementById('stage').focus()")
    browser.key("ArrowLeft")
    assert box(browser, "left-picture")["x"] == pytest.approx(moved["x"] + 60, abs=1)
    assert browser.view()["split"] == "50"


def test_zoomed_pictures_stop_at_their_edges(browser, page):
    browser.open(page, address="#zoom=4&x=0&y=0", width=500, height=600)
    stage, picture = box(browser, "stage"), box(browser, "left-picture")
    assert (picture["x"], picture["y"]) == (pytest.approx(stage["x"]), pytest.approx(stage["y"]))
    browser.drag((stage["x"] + 20, stage["y"] + 20), (stage["x"] + 200, stage["y"] + 120))
    assert box(browser, "left-picture")["x"] == pytest.approx(stage["x"])


def test_choosing_swapping_and_stepping_change_the_pictures(browser, page):
    browser.open(page)
    browser.run("document.getElementById('swap').click()")
    assert (browser.view()["left"], browser.view()["right"]) == ("good", "input")
    browser.run("document.getElementById('next').click()")
    assert browser.view()["image"] == "2"
    browser.run("document.getElementById('next').click()")
    assert browser.view()["image"] == "1"
    browser.run(
        "(() => { const s = document.getElementById('left'); s.value = 'median';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert browser.view()["left"] == "median"
    assert "PSNR" in browser.run("document.getElementById('left-scores').textContent")


def test_scores_sort_by_number_and_back(browser, page):
    browser.open(page)
    values = "[...document.querySelectorAll('#scores tbody tr')].map(row => Number(row.cells[2].dataset.value))"
    head = "document.querySelectorAll('#scores thead th')[2]"
    unsorted = browser.run(values)
    browser.run(f"{head}.querySelector('button').click()")
    assert browser.run(values) == sorted(unsorted)
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    browser.run(f"{head}.querySelector('button').click()")
    assert browser.run(values) == sorted(unsorted, reverse=True)


def test_scores_without_a_value_sort_last_both_ways(browser, page):
    browser.open(page)
    values = "[...document.querySelectorAll('#scores tbody tr')].map(row => row.cells[4].dataset.value)"
    for _ in range(2):
        browser.run("document.querySelectorAll('#scores thead th')[4].querySelector('button').click()")
        assert browser.run(values)[-2:] == ["", ""]


def test_link_in_the_scores_opens_that_picture(browser, page):
    browser.open(page)
    browser.run("[...document.querySelectorAll('#scores a')].at(-1).click()")
    view = browser.run(
        "new Promise(done => setTimeout(() => done({...document.getElementById('stage').dataset}), 100))"
    )
    assert (view["image"], view["left"], view["right"]) == ("2", "input", "bad|<i>")


def test_phone_page_does_not_scroll_sideways(browser, page):
    browser.open(page, width=390, height=844, touch=True)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.run(
        "[...document.querySelectorAll('.controls select, .controls button')].every(e => e.offsetHeight >= 40)"
    )


def test_page_without_scripts_shows_tables_and_pictures(browser, page):
    browser.open(page, scripts=False)
    document = browser.send("DOM.getDocument")["root"]["nodeId"]

    def height(selector):
        node = browser.send("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        return browser.send("DOM.getBoxModel", nodeId=node)["model"]["height"]

    assert height("#gallery figure img") > 100
    assert height("#scores") > 100
    with pytest.raises(AssertionError, match="Could not compute box model"):
        height("#viewer")  # hidden: it would not work


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_enough_contrast_in_both_schemes(browser, page, dark):
    browser.open(page, dark=dark)
    colours = "['body', '.muted', 'a', 'thead th', 'dt'].map(s => getComputedStyle(document.querySelector(s)).color)"
    papers = "['body', 'thead th', 'select'].map(s => getComputedStyle(document.querySelector(s)).backgroundColor)"

    def luminance(colour):  # WCAG 2.2
        channels = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ink in browser.run(colours):
        for paper in browser.run(papers):
            light, dim = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (light + 0.05) / (dim + 0.05) >= 4.5
    assert (luminance(browser.run(papers)[0]) < 0.1) == dark


def test_strip_shows_every_picture_at_the_same_place_and_chooses_the_right_side(browser, page):
    browser.open(page, address="#image=2&zoom=4&x=0.3&y=0.6", width=700, height=700)
    places = browser.run(
        "[...document.querySelectorAll('#strip img')].map(i => {"
        "const a = i.getBoundingClientRect(), b = i.parentElement.getBoundingClientRect();"
        "return [a.x - b.x, a.y - b.y, a.width]; })"
    )
    assert len(places) == 5
    stage, picture = box(browser, "stage"), box(browser, "right-picture")
    share = 168 / stage["width"]
    expected = [(picture["x"] - stage["x"]) * share, (picture["y"] - stage["y"]) * share, picture["width"] * share]
    for place in places:
        assert place == pytest.approx(expected, abs=1.5)
    browser.run("[...document.querySelectorAll('#strip button')].at(-1).click()")
    assert browser.view()["right"] == "clean"
    assert browser.run("document.querySelector('#strip [aria-pressed=true]').dataset.label") == "clean"
    assert browser.complaints() == []


def test_difference_covers_the_stage_and_is_part_of_the_address(browser, page):
    browser.open(page, address="#difference=1&split=20")
    assert browser.run("getComputedStyle(document.getElementById('left-layer')).clipPath") == "inset(0px)"
    assert browser.run("getComputedStyle(document.getElementById('left-layer')).mixBlendMode") == "difference"
    browser.run("document.getElementById('difference').click()")
    assert browser.view()["difference"] == "false"
    assert "difference" not in browser.run("new Promise(done => setTimeout(() => done(location.hash), 400))")
    assert browser.complaints() == []
