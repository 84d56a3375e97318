"""The names that ``restorekit.core.metric`` offers, and that addresses are read without torch."""

import subprocess
import sys

import pytest

import restorekit.core.metric as metric


@pytest.mark.parametrize("name", metric.__all__)
def test_public_name_resolves(name: str) -> None:
    assert getattr(metric, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'restorekit.core.metric' has no attribute 'psnr'"):
        _ = metric.psnr


def test_reading_an_address_loads_no_torch() -> None:
    code = (
        "import sys; from restorekit.core.metric import parse_address, PRESETS; parse_address('psnr[crop4]'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
