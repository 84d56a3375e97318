"""The page as text: self-contained, escaped, and as exact as its size allows."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from restorekit.errors import UsageError
from restorekit.report import render_page
from restorekit.report.encoding import encode_pictures


class Reader(HTMLParser):
    """Tags with their attributes, and the text of the page; complains about tags that do not match."""

    VOID = ("meta", "img", "input", "br")

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def find(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(pictured):
    return render_page(pictured)


@pytest.fixture(scope="module")
def parsed(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_page_asks_for_nothing_outside_itself(parsed):
    for tag, attributes in parsed.tags:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") or name == "style" for name in attributes)


def test_page_policy_allows_its_own_script_and_style_only(page, parsed):
    policy = next(
        meta["content"] for meta in parsed.find("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_page_text_from_outside_is_escaped(page, parsed, pictured):
    text = "".join(parsed.text)
    assert "a \"quoted\" & <b>'bold'</b>.png" in text
    assert "bad|<i>" in text
    assert "<script>alert(1)</script>" in text
    assert "A & B <cpu>" in text
    assert len(parsed.find("script")) == 1
    assert not parsed.find("i")
    assert {article["data-name"] for article in parsed.find("article")} == set(pictured.images)


def test_page_shows_table_scores_addresses_run_and_notes(parsed):
    text = " ".join("".join(parsed.text).split())
    for expected in (
        "30.50",
        "psnr[rgb|per-image|u8|crop0]",
        "ssim[rgb|per-image|u8|crop0|gauss11]",
        "n=2: no interval and no test (8 images are the fewest for either)",
        "restorekit compare in --degrade noise:sigma=25",
        "2026-01-02 03:04:05 UTC",
        "17.1 M",
        "trained on <noise>",
    ):
        assert expected in text


def test_page_controls_have_labels(parsed):
    labelled = {label["for"] for label in parsed.find("label") if "for" in label}
    named = {attributes["id"] for attributes in parsed.find("select")} | {"split"}
    assert named <= labelled
    for button in parsed.find("button"):
        assert button["aria-label"]


def test_page_pictures_are_exact_where_they_fit(page, parsed, pictured):
    figures = {}
    name = label = None
    for tag, attributes in parsed.tags:
        name = attributes.get("data-name", name)
        label = attributes.get("data-label", label)
        if tag == "img" and attributes.get("src"):
            figures[name, label] = attributes
    assert len(figures) == 10
    for (name, label), attributes in figures.items():
        data = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pictured.pictures[name][label])
    assert "Pictures are exact (PNG). Cap: 9.5 MB for all pictures." in page


def test_page_without_pictures_has_tables_only(report_of):
    page = render_page(report_of({"input": [20.0], "net": [30.0]}))
    assert "30.00" in page
    assert "<figure" not in page


def test_page_refuses_pictures_of_different_sizes(report_of):
    pictures = {"0.png": {"input": np.zeros((9, 8, 3), np.uint8), "net": np.zeros((9, 7, 3), np.uint8)}}
    with pytest.raises(UsageError, match=r"0\.png: expected pictures of one size"):
        render_page(report_of({"input": [20.0], "net": [30.0]}, pictures=pictures))


def noisy(height, width, count):
    generator = np.random.default_rng(0)
    return {
        f"{i}": {label: generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for label in ("input", "net")}
        for i in range(count)
    }


def total(encoded):
    return sum(len(picture.uri) for by_label in encoded.values() for picture in by_label.values())


def test_pictures_take_the_same_coarser_form_when_png_is_too_large():
    pictures = noisy(200, 300, 2)
    exact, _ = encode_pictures(pictures, budget_bytes=10**7)
    encoded, sentence = encode_pictures(pictures, budget_bytes=total(exact) - 1)
    assert "JPEG of quality 95" in sentence
    assert total(encoded) < total(exact)
    assert all(p.uri.startswith("data:image/jpeg;") for by_label in encoded.values() for p in by_label.values())
    assert [list(by_label) for by_label in encoded.values()] == [["input", "net"]] * 2


def test_pictures_shrink_when_no_jpeg_fits_and_keep_their_shape():
    encoded, sentence = encode_pictures(noisy(600, 2000, 1), budget_bytes=1_600_000)
    assert "at most 800 px" in sentence
    assert {(p.width, p.height) for p in encoded["0"].values()} == {(800, 240)}


def test_pictures_are_left_out_last_and_said_so():
    encoded, sentence = encode_pictures(noisy(100, 100, 5), budget_bytes=60_000)
    assert 1 <= len(encoded) < 5
    assert f"{5 - len(encoded)} of 5 images are left out for size" in sentence
    assert total(encoded) <= 60_000


def test_first_picture_is_kept_whatever_it_takes():
    encoded, sentence = encode_pictures(noisy(100, 100, 2), budget_bytes=10)
    assert list(encoded) == ["0"]
    assert "1 of 2 images" in sentence


def test_page_shows_the_hash_of_every_protocol(parsed, pictured):
    text = "".join(parsed.text)
    for metric in pictured.metrics:
        assert metric.protocol.short_hash in text


def test_page_compares_every_pair(page):
    row = '<tr><td class="word">good</td><td class="word">bad|&lt;i&gt;</td><td class="word">PSNR</td>'
    assert row in page.partition('<h2 id="pairs">Every pair</h2>')[2]
