"""Building by name, messages for wrong options, lists for help texts, recipes."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from restorekit.core.classical import CLASSICAL, METHOD, build_classical, describe_classical
from restorekit.core.classical.nlm import NonLocalMeans
from restorekit.errors import ModelError


def test_build_classical_passes_options_given_as_text():
    restorer = build_classical("nlm", {"sigma": "25"})
    assert isinstance(restorer, NonLocalMeans)
    assert restorer.config.sigma == 25


def test_build_classical_suggests_a_name():
    with pytest.raises(ModelError, match=r"expected one of gray_world, .*, wiener, got 'nml'; did you mean nlm\?"):
        build_classical("nml")


def test_build_classical_names_every_wrong_option():
    with pytest.raises(ModelError) as caught:
        build_classical("nlm", {"sigam": 1, "patch_radius_px": 99, "luma_strength": "much"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("patch_radius_px: expected a whole number at least 1 and at most 7, got 99" in line for line in lines)
    assert any("luma_strength: expected a number above 0 and at most 3, got 'much'" in line for line in lines)
    assert any(
        "sigam: unknown key; expected one of sigma, luma_strength" in line and "did you mean sigma?" in line
        for line in lines
    )


def test_build_classical_refuses_nan():
    with pytest.raises(ModelError, match="sigma: expected a number at least 0 and at most 100, or nothing, got nan"):
        build_classical("tv", {"sigma": float("nan")})


def test_describe_classical_explains_every_option():
    rows = describe_classical()
    assert [row.name for row in rows] == [f"classical:{name}" for name in CLASSICAL]
    assert {aim for row in rows for aim in row.helps} == {"noise", "haze", "low_light", "blur", "colour"}
    for row in rows:
        assert row.summary.endswith(".")
        assert row.options
        for option in row.options:
            assert len(option.description) > 20, f"{row.name}: {option.name} has no help text"
            assert "at" in option.expected or "above" in option.expected


def test_method_builds_what_a_recipe_names():
    config = METHOD.config.model_validate({"algorithm": "nlm", "options": {"sigma": 25}})
    restorer = METHOD.restorer(config)
    assert isinstance(restorer, NonLocalMeans)
    assert restorer.config.sigma == 25


def test_method_config_refuses_what_cannot_be_built():
    with pytest.raises(ValidationError, match="did you mean median"):
        METHOD.config.model_validate({"algorithm": "meidan"})
    with pytest.raises(ValidationError, match=r"classical:tv: option sigma: expected .*, got -1"):
        METHOD.config.model_validate({"algorithm": "tv", "options": {"sigma": -1}})


def test_classical_does_not_import_scikit_image():
    code = "import sys, restorekit.core.classical; sys.exit('skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
