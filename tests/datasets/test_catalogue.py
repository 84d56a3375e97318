"""The catalogue holds what the papers name, in words that the rest of the package understands."""

import re
from pathlib import Path

import pytest

from restorekit.core.metric.protocol import format_address, parse_address
from restorekit.datasets.known_sets import Part, catalogue, find_set
from restorekit.datasets.page import catalogue_page
from restorekit.datasets.template import Template
from restorekit.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]

NAMED_IN_PAPERS = (
    *("lol-v1", "lol-v2-real", "sid", "rain13k", "rain100l", "rain100h", "test100"),
    *("test1200", "test2800", "rain14000", "gopro", "hide", "realblur-j", "realblur-r"),
    *("dpdd-single", "dpdd-dual", "sidd", "set12", "bsd68", "cbsd68", "kodak24"),
    *("mcmaster", "urban100", "sots-indoor", "sots-outdoor", "ots", "hsts", "constyle-v2-mix"),
    *("hsts-256", "lol-256", "kodak24-256"),
)
TESTED_ON = {  # Restormer 2022, sections 4.1 to 4.4, and the pages of the sets
    **{"lol-v1": 15, "lol-v2-real": 100, "sid": 598, "gopro": 1111, "hide": 2025, "dpdd-dual": 76, "dpdd-single": 76},
    **{"rain100l": 100, "rain100h": 100, "test1200": 1200, "test2800": 2800, "sots-indoor": 500, "sots-outdoor": 500},
    **{"set12": 12, "bsd68": 68, "cbsd68": 68, "kodak24": 24, "mcmaster": 18, "urban100": 100, "hsts": 10},
    **{"realblur-j": 980, "realblur-r": 980},
    **{"hsts-256": 10, "lol-256": 15, "kodak24-256": 24},  # the files of TAO's repository
}


def test_catalogue_holds_the_sets_of_the_papers():
    assert set(catalogue()) == set(NAMED_IN_PAPERS)


@pytest.mark.parametrize(("name", "count"), TESTED_ON.items())
def test_catalogue_counts_the_test_images(name, count):
    assert any(count in part.count for part in find_set(name).parts if part.split == "test")


def test_catalogue_adds_up_to_the_mixture():
    assert sum(part.count[0] for part in find_set("constyle-v2-mix").parts) == 621_573


@pytest.mark.parametrize("name", NAMED_IN_PAPERS)
def test_catalogue_protocols_are_full_addresses(name):
    for address in find_set(name).protocol:
        assert format_address(*parse_address(address)) == address


@pytest.mark.parametrize("name", NAMED_IN_PAPERS)
def test_catalogue_counts_fit_their_numbering(name):
    for part in find_set(name).parts:
        if part.ids:
            assert len(part.ids.texts()) in part.expected[1]


def test_find_set_offers_the_right_spelling():
    with pytest.raises(
        UsageError, match=r"data set: expected one of bsd68, .*got 'kodak'; did you mean kodak24 or kodak24-256\?"
    ):
        find_set("kodak")


def test_find_set_takes_any_case():
    assert find_set("LOL-v1").title == "LOL v1"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"degraded": "a/{x}", "clean": "b/{y}"}, "shares no field"),
        ({"degraded": ["a/{x}", "b/{x}"], "clean": "c/{x}"}, "several views"),
        ({"clean": "{x}", "count": 0}, "greater than or equal to 1"),
    ],
)
def test_part_refuses_what_cannot_pair(table, reason):
    with pytest.raises(ValueError, match=reason):
        Part.model_validate({"layout": "flat", "split": "test", **table})


@pytest.mark.parametrize(
    ("template", "name", "fields"),
    [
        ("gt/{scene}", "gt/1400.png", {"scene": "1400"}),
        ("hazy/{scene}_{level}", "hazy/1400_1.png", {"scene": "1400", "level": "1"}),
        ("hazy/{scene}_{a}_{b}", "Hazy/0001_0.8_0.2.JPG", {"scene": "0001", "a": "0.8", "b": "0.2"}),
        ("{scene:1\\d*}/{e}.npy", "10003/10003_00_0.1s.npy", {"scene": "10003", "e": "10003_00_0.1s"}),
        ("{scene:1\\d*}/{e}.npy", "00001/00001_00_0.1s.npy", None),
        ("{name}", "a.npy", None),
        ("{name}.npy", "a.png", None),
        ("{name}", "a/b.png", None),
        ("Blocks.mat", "Blocks.mat", {}),
    ],
)
def test_template_reads_fields(template, name, fields):
    assert Template(template).match(name) == fields


def test_page_has_the_catalogue():
    page = (ROOT / "docs" / "datasets.md").read_text()
    shown = re.search(r"<!-- catalogue -->\n(.*)<!-- end of catalogue -->", page, flags=re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == catalogue_page(), "run: restorekit data list --markdown"
