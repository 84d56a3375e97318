import string

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.core.degradation.chain import (
    DEGRADATIONS,
    Chain,
    Mixture,
    degrade_images,
    describe_degradations,
    parse_degradation,
)
from restorekit.core.degradation.settings import Flag, Range, Span, Word
from restorekit.errors import SpecError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@st.composite
def setting_text(draw, setting):
    if isinstance(setting, Word):
        return draw(st.sampled_from(setting.choices))
    if isinstance(setting, Flag):
        return draw(st.sampled_from("01"))
    if setting.whole:
        numbers = st.integers(int(setting.low), int(setting.high)).map(float)
    else:
        numbers = st.floats(setting.low, setting.high)
    low, high = sorted([draw(numbers), draw(numbers)])
    return draw(st.sampled_from([str(Span(low, low)), str(Span(low, high))]))


@st.composite
def term_text(draw):
    name = draw(st.sampled_from(list(DEGRADATIONS)))
    declared = DEGRADATIONS[name].settings()
    keys = draw(st.lists(st.sampled_from(list(declared)), unique=True, max_size=4)) if declared else []
    pairs = ",".join(f"{key}={draw(setting_text(declared[key]))}" for key in keys)
    return f"{name}:{pairs}" if pairs else name


chain_text = st.lists(term_text(), min_size=1, max_size=3).map("+".join)
spec_text = st.lists(chain_text, min_size=1, max_size=3).map("|".join)


@settings(max_examples=60, deadline=None)
@given(spec_text)
def test_spec_round_trips(text):
    once = parse_degradation(text)
    again = parse_degradation(once.spec)
    assert again == once
    assert again.spec == once.spec


def refusal(text):
    try:
        parse_degradation(text)
    except SpecError as error:
        return str(error)
    return None


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=string.ascii_lowercase + "=:,+|.- 0123456789", max_size=25))
def test_any_other_text_is_refused_with_a_spec_error_naming_it(text):
    message = refusal(text)
    assert message is None or message.startswith(f"degradation {text!r}, character ")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("noise:sigma=25+jpeg:quality=40", "noise:sigma=25+jpeg:quality=40"),
        (" noise : clip=0 , sigma=25.0 ", "noise:sigma=25,clip=0"),
        ("noise:sigma=5..50", "noise"),
        ("rain:angle=-10..-5", "rain:angle=-10..-5"),
        ("low_light:shot=1e-5", "low_light:shot=1e-05"),
        ("none|blur:sigma=.5", "none|blur:sigma=0.5"),
    ],
)
def test_spec_has_one_canonical_form(text, canonical):
    assert parse_degradation(text).spec == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"degradation '', character 1: expected one of none, noise, .*, got ''"),
        ("nois:sigma=25", r"character 1: expected one of none, noise, .*, got 'nois'; did you mean noise\?"),
        ("noise+ jpg", r"character 8: expected one of none, .*, got 'jpg'"),
        ("noise|", r"character 7: expected one of none"),
        ("jpeg:qualty=4", r"character 6: jpeg: expected one of quality, .*, got 'qualty'; did you mean quality\?"),
        ("blur+noise:sigma=300", r"character 12: noise: sigma: expected 0 to 255 grey levels, got 300"),
        ("noise:sigma=5..256", r"sigma: expected 0 to 255 grey levels, got 5..256"),
        ("noise:sigma=50..5", r"noise: sigma: range: expected lo..hi with lo <= hi, got 50..5"),
        ("noise:sigma=loud", r"noise: sigma: expected a number or a range lo..hi, got 'loud'"),
        ("noise:sigma=1,sigma=2", r"character 15: noise: expected sigma once, got it twice; keep one"),
        ("noise:sigma", r"character 7: noise: expected key=value, got 'sigma'"),
        ("noise:clip=yes", r"noise: clip: expected 0 or 1, got 'yes'"),
        ("noise:colour=grey", r"noise: colour: expected one of rgb, gray, got 'grey'; did you mean gray\?"),
        ("jpeg:quality=40.5", r"jpeg: quality: expected a whole number 1 to 100, got 40.5"),
        ("none:sigma=1", r"none: expected no settings, got 'sigma'"),
    ],
)
def test_parse_degradation_says_where_and_what_was_expected(text, message):
    with pytest.raises(SpecError, match=message):
        parse_degradation(text)


def test_chain_applies_its_terms_from_left_to_right(photos):
    chain = parse_degradation("blur:sigma=2+resample:factor=3")
    degraded, params = degrade_images(photos, chain, generator=generator())
    blurred = parse_degradation("blur:sigma=2").apply(photos, {"sigma": params["0.sigma"]})
    expected = parse_degradation("resample:factor=3").apply(blurred, {"factor": params["1.factor"]})
    assert torch.equal(degraded, expected)


def test_mixture_applies_the_chosen_chain_to_each_image(photos):
    mixture = parse_degradation("none|blur:sigma=2")
    params = {**mixture.draw(3, generator=generator()), "choice": torch.tensor([1, 0, 1])}
    degraded = mixture.apply(photos, params)
    blurred = parse_degradation("blur:sigma=2").apply(photos, {"sigma": torch.full((3,), 2.0)})
    assert torch.equal(degraded, torch.stack([blurred[0], photos[1], blurred[2]]))


def test_mixture_chooses_each_chain_equally_often():
    counts = parse_degradation("none|blur|noise+jpeg|rain").draw(4000, generator=generator())["choice"].bincount()
    assert counts.shape == (4,)
    assert (counts - 1000).abs().max() < 5 * (4000 * 0.25 * 0.75) ** 0.5  # five standard deviations


def test_range_is_drawn_uniformly_and_logarithmic_ranges_by_ratio():
    sigma = parse_degradation("noise:sigma=10..30").draw(20_000, generator=generator())["sigma"]
    assert abs(float(sigma.mean()) - 20) < 0.2
    assert abs(float(sigma.std()) - 20 / 12**0.5) < 0.1
    exposure = parse_degradation("low_light:exposure=0.01..0.1").draw(20_000, generator=generator())["exposure"]
    assert abs(float(exposure.log10().mean()) + 1.5) < 0.01
    quality = parse_degradation("jpeg:quality=1..3").draw(3000, generator=generator())["quality"]
    assert quality.unique().tolist() == [1, 2, 3]


def test_what_the_text_cannot_say_cannot_be_built():
    noise, mixture = parse_degradation("noise"), parse_degradation("noise|blur")
    with pytest.raises(SpecError, match="chain: expected one or more single terms"):
        Chain((noise, mixture))
    with pytest.raises(SpecError, match="mixture: expected one or more terms or chains"):
        Mixture((noise, mixture))


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_help_table_lists_every_setting_with_its_default_and_bounds(name):
    table = describe_degradations()
    assert f"\n{name}: " in "\n" + table
    for key, setting in DEGRADATIONS[name].settings().items():
        assert f"{key}={setting.default_text}" in table
        assert setting.allowed_text in table
        assert setting.help in table


def test_every_setting_of_a_range_says_its_unit_or_is_a_ratio():
    units = {s.unit for kind in DEGRADATIONS.values() for s in kind.settings().values() if isinstance(s, Range)}
    assert units == {"", "px", "degrees", "grey levels"}
