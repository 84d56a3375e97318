"""Configurations of conditioned U-Nets name what is wrong with them."""

import pytest

from restorekit.constyle.config import UNetConfig
from restorekit.core.options import check_options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": "nafnett"}, "block: expected 'nafnet', 'restormer', 'conv' or 'dense', got 'nafnett'"),
        ({"encoder_blocks": [1, 1]}, "encoder_blocks and decoder_blocks: expected as many levels in both, got 2 and 3"),
        ({"width": 6}, "width: expected a multiple of 4, got 6"),
        ({"block": "restormer", "heads": [1, 2]}, "heads: expected 4, one for each level and the bottleneck, got 2"),
        (
            {"block": "restormer", "width": 4, "heads": [1, 2, 8, 8]},
            "heads: expected divisors of [12, 16] at level 2, got 8",
        ),
    ],
)
def test_config_names_what_is_wrong(options, message) -> None:
    assert check_options(UNetConfig, options) == [message]


def test_config_proposes_the_key_that_was_meant() -> None:
    (problem,) = check_options(UNetConfig, {"input_strides": 2})
    assert problem.startswith("input_strides: unknown key; expected one of ")
    assert problem.endswith("; did you mean input_stride?")
