"""Addresses say everything, can be read back, and different ones are not mixed."""

import hashlib
import math
from dataclasses import replace

import pytest

from restorekit.core.metric.protocol import (
    CHOICES,
    MetricProtocol,
    aggregate,
    check_protocol,
    default_protocol,
    ensure_same_protocol,
    format_address,
    parse_address,
)
from restorekit.errors import ProtocolError, SpecError, UsageError

EVERY_OPTION = [
    (name, option) for name, fields in CHOICES.items() for options in fields.values() for option in options if option
]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("psnr", "psnr[rgb|per-image|u8|crop0]"),
        ("ssim", "ssim[rgb|per-image|u8|crop0|gauss11]"),
        ("ms-ssim", "ms-ssim[rgb|per-image|u8|crop0|gauss11]"),
        ("lpips", "lpips[rgb|per-image|u8|crop0|net=alex]"),
        ("niqe", "niqe[y-full|per-image|u8|crop0|params=restorekit-1]"),
        ("psnr[y-studio|crop4]", "psnr[y-studio|per-image|u8|crop4]"),
        ("psnr[crop4|y-studio]", "psnr[y-studio|per-image|u8|crop4]"),
        (" PSNR [ pooled | float ] ", "psnr[rgb|pooled|float|crop0]"),
        ("psnr[]", "psnr[rgb|per-image|u8|crop0]"),
        ("ssim[gt-mean]", "ssim[rgb|per-image|u8|crop0|gauss11|GT-MEAN]"),
        ("lpips[net=vgg]", "lpips[rgb|per-image|u8|crop0|net=vgg]"),
    ],
)
def test_address_is_completed_with_defaults(text: str, address: str) -> None:
    assert format_address(*parse_address(text)) == address


@pytest.mark.parametrize(("name", "option"), EVERY_OPTION)
def test_address_with_every_option_reads_back(name: str, option: str) -> None:
    parsed = parse_address(f"{name}[{option}|crop3]")
    assert option in str(parsed[1]).split("|")
    assert parse_address(format_address(*parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "psnrr",
            "metric: expected one of psnr, ssim, ms-ssim, psnr-affine, lpips, niqe, got 'psnrr'; did you mean psnr",
        ),
        ("psnr[y-studoi]", r"psnr: expected options among rgb, .*, cropN; got 'y-studoi'; did you mean y-studio"),
        ("psnr[gauss11]", "psnr: expected options among .* got 'gauss11'"),
        ("ssim[pooled]", "ssim: expected options among .* got 'pooled'"),
        ("psnr[rgb|y-full]", r"expected one channel, got two \(rgb and y-full\)"),
        ("psnr[rgb", "expected NAME or NAME"),
        ("niqe[rgb]", "niqe: expected options among y-full.* got 'rgb'"),
        ("psnr[crop-1]", "got 'crop-1'"),
    ],
)
def test_address_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_address(text)


@pytest.mark.parametrize(
    ("name", "protocol", "message"),
    [
        ("ssim", MetricProtocol(), "ssim: expected window gauss11 or uniform7 or gauss11-same, got none"),
        ("ssim", MetricProtocol(window="gauss11", average="pooled"), "ssim: expected average per-image, got pooled"),
        ("psnr", MetricProtocol(window="gauss11"), "psnr: expected window none, got gauss11"),
        ("psnr", MetricProtocol(crop=-2), "psnr: expected crop >= 0 px, got -2"),
        ("lpips", MetricProtocol(network="alex", channel="y-full"), "lpips: expected channel rgb, got y-full"),
        ("lpips", MetricProtocol(network="resnet"), "lpips: expected network net=alex or .*, got net=resnet"),
        ("niqe", MetricProtocol(channel="y-full", parameters="restorekit-1", gt_mean=True), "gt_mean none"),
    ],
)
def test_protocol_that_a_metric_does_not_have_is_refused(name: str, protocol: MetricProtocol, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_protocol(name, protocol)


@pytest.mark.parametrize("name", CHOICES)
def test_default_protocol_is_valid(name: str) -> None:
    assert check_protocol(name, default_protocol(name)) == default_protocol(name)


def test_short_hash_is_the_start_of_the_texts_sha256() -> None:
    expected = hashlib.sha256(b"rgb|per-image|u8|crop0").hexdigest()[:8]
    assert MetricProtocol().short_hash == expected


def test_short_hash_changes_with_every_field() -> None:
    start = MetricProtocol()
    others = [
        replace(start, channel="y-full"),
        replace(start, average="pooled"),
        replace(start, depth="float"),
        replace(start, crop=1),
        replace(start, window="gauss11"),
        replace(start, network="alex"),
        replace(start, parameters="restorekit-1"),
        replace(start, gt_mean=True),
    ]
    assert len({protocol.short_hash for protocol in [start, *others]}) == len(others) + 1


def test_same_protocols_may_share_a_table() -> None:
    ensure_same_protocol(["psnr", "psnr[rgb|per-image|u8|crop0]", "ssim", "ssim[gauss11]", "lpips"])


def test_mixed_protocols_are_refused_naming_what_differs() -> None:
    expected = (
        r"psnr: expected one protocol in one table, got psnr\[rgb\|per-image\|u8\|crop0\] and "
        r"psnr\[y-studio\|per-image\|u8\|crop4\] \(channel: rgb or y-studio, crop: crop0 or crop4\); measure both"
    )
    with pytest.raises(ProtocolError, match=expected):
        ensure_same_protocol(["psnr", "ssim", "psnr[y-studio|crop4]"])


def test_gt_mean_never_shares_a_table_with_the_plain_number() -> None:
    with pytest.raises(ProtocolError, match="gt_mean: - or GT-MEAN"):
        ensure_same_protocol(["ssim", "ssim[GT-MEAN]"])


def test_aggregate_per_image_is_the_mean() -> None:
    assert aggregate([20.0, 30.0, 43.0], MetricProtocol()) == pytest.approx(31.0)


def test_aggregate_pooled_is_the_psnr_of_the_mean_squared_error() -> None:
    errors = [0.01, 0.0004, 0.03]
    values = [-10 * math.log10(error) for error in errors]
    expected = -10 * math.log10(sum(errors) / 3)
    assert aggregate(values, MetricProtocol(average="pooled")) == pytest.approx(expected)


def test_aggregate_pooled_weighs_images_by_their_pixels() -> None:
    expected = -10 * math.log10((0.01 * 100 + 0.04 * 300) / 400)
    values = [20.0, -10 * math.log10(0.04)]
    assert aggregate(values, MetricProtocol(average="pooled"), weights=[100.0, 300.0]) == pytest.approx(expected)


def test_aggregate_of_identical_images_is_infinite() -> None:
    assert aggregate([math.inf, 20.0], MetricProtocol()) == math.inf
    assert aggregate([math.inf, math.inf], MetricProtocol(average="pooled")) == math.inf


def test_aggregate_pooled_counts_an_identical_image_as_no_error() -> None:
    value = aggregate([math.inf, 20.0], MetricProtocol(average="pooled"))
    assert value == pytest.approx(-10 * math.log10(0.005))


@pytest.mark.parametrize(("values", "weights"), [([], None), ([1.0], [1.0, 2.0])])
def test_aggregate_needs_a_weight_for_each_of_some_values(values: list[float], weights: list[float] | None) -> None:
    with pytest.raises(UsageError, match="aggregate: expected one weight for each"):
        aggregate(values, MetricProtocol(), weights=weights)
