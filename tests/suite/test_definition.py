"""What a suite may say, and what it is measured by."""

import pytest

from restorekit.errors import RecipeError
from restorekit.suite import DataSet, Suite, load_suite


def load(path, *sets, head=""):
    path.write_text(f'title = "t"\n{head}\n' + "\n".join(f'[[sets]]\nname = "n{n}"\n{s}' for n, s in enumerate(sets)))
    return load_suite(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('clean = "a"', "expected either degraded = FOLDER or degrade = SPEC"),
        ('degrade = "noise"', "n0: expected clean = FOLDER or dataset = NAME"),
        ('clean = "a"\ndegrade = "noise"\nsplit = "test"', "split is for a dataset"),
        ('dataset = "hsts"\nclean = "a"', "n0: expected either dataset = NAME or folders, got both"),
        ('dataset = "hsst"', "did you mean hsts"),
        ('dataset = "lol-v1"', "expected lol-v1 with one of its splits, train, test, got 'none'; write lol-v1:test"),
        ('dataset = "lol-v1"\nsplit = "val"', "got 'val'"),
        ('dataset = "kodak24"', "n0: expected degrade = SPEC, kodak24 has clean pictures only"),
    ],
)
def test_a_set_that_is_not_sound_is_refused(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        load(tmp_path / "s.toml", text)


def test_sets_of_one_name_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="expected a different name for each, got twice: n0"):
        load(tmp_path / "s.toml", 'dataset = "hsts"\n[[sets]]\nname = "n0"\ndataset = "rain100l"')


def test_a_set_is_measured_by_its_own_metrics_then_the_suites_then_the_papers():
    rain = DataSet(name="rain", dataset="rain100l")
    folder = DataSet(name="folder", clean="a", degrade="noise")
    own = DataSet(name="own", dataset="rain100l", metrics=["ssim"])
    silent = Suite(title="t", sets=[rain, folder, own])
    assert silent.metrics_of(rain) == ["psnr[y-studio|per-image|u8|crop0]", "ssim[y-studio|per-image|u8|crop0|gauss11]"]
    assert silent.metrics_of(folder) == ["psnr", "ssim"]
    assert silent.metrics_of(own) == ["ssim"]
    spoken = Suite(title="t", sets=[rain, own], metrics=["niqe"])
    assert [spoken.metrics_of(entry) for entry in spoken.sets] == [["niqe"], ["ssim"]]


def test_known_is_what_compare_takes():
    assert DataSet(name="a", dataset="sidd", split="val").known == "sidd:val"
    assert DataSet(name="a", dataset="hsts").known == "hsts"
    assert DataSet(name="a", clean="b", degrade="noise").known is None
