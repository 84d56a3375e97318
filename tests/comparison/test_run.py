"""Seeds, cost and interruption of a comparison: what is measured once, counted exactly, and never lost."""

import importlib
import sys

import numpy as np
import PIL.Image
import pytest

import restorekit
from restorekit.comparison import ComparisonOptions, rows
from restorekit.comparison.cost import peak_memory
from restorekit.core.image.files import read_image
from restorekit.errors import SpecError, UsageError

MODELS = '''
import torch

from restorekit.core.restorer import InputSpec


class Draws:
    """Adds a little noise of the generator it is given."""

    name, spec = "draws", InputSpec()

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        return degraded + 0.05 * torch.randn(degraded.shape, generator=generator)


def network():
    """One 3x3 convolution between three planes, beside weights that nothing uses."""
    net = torch.nn.Conv2d(3, 3, 3, padding=1)
    torch.nn.init.constant_(net.weight, 1 / 27)
    torch.nn.init.constant_(net.bias, 0.01)
    net.unused = torch.nn.Linear(10, 7, bias=False)
    return net


class Guided(Draws):
    """A network beside a frozen prior."""

    def __init__(self):
        self.net, self.prior = torch.nn.Conv2d(3, 3, 1), torch.nn.Linear(3, 5)

    def restore(self, degraded, *, generator=None):
        self.prior(degraded.mean(dim=(2, 3)))
        return self.net(degraded).detach()
'''


@pytest.fixture(autouse=True)
def one_classical_row(monkeypatch):
    """All of them take a while, and are run elsewhere."""
    monkeypatch.setattr(rows, "ALWAYS", ("median",))


@pytest.fixture
def photo(tmp_path):
    """Random colours, 64x48 px, in a folder of its own."""
    path = tmp_path / "clean" / "ramp.png"
    path.parent.mkdir()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The name of a module with restorers of one's own."""
    name = f"own_models_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"python:{name}"


def numbers(report):
    """Every score, without times."""
    return {(score.image, score.model): (score.scores, score.by_seed) for score in report.scores}


def test_stochastic_models_run_with_every_seed_and_others_once(photo, own):
    options = ComparisonOptions(seeds=3, seed=4, costs=False)
    models = [f"{own}:Draws", f"{own}:network"]
    report = restorekit.compare(photo, degrade="noise:sigma=25", models=models, options=options)
    drawn, plain = (report.find("ramp.png", model) for model in models)
    assert len(drawn.by_seed) == 3
    assert len({scores["psnr[rgb|per-image|u8|crop0]"] for scores in drawn.by_seed}) == 3
    for address, value in drawn.scores.items():
        assert value == pytest.approx(np.mean([scores[address] for scores in drawn.by_seed]))
    assert plain.by_seed == ()
    assert [model.stochastic for model in report.models] == [False, False, True, False]


def test_cost_counts_used_held_and_prior_weights_and_macs(photo, own):
    options = ComparisonOptions()
    models = [f"{own}:network", f"{own}:Guided", f"{own}:Draws"]
    report = restorekit.compare(photo, degrade="noise", models=models, options=options)
    network, guided, draws = (model for model in report.models if model.kind == "model")
    assert (network.parameters, network.parameters_total) == (3 * 3 * 9 + 3, 3 * 3 * 9 + 3 + 70)
    assert network.macs == 256 * 256 * 3 * 3 * 9
    assert (guided.parameters, guided.parameters_prior) == (3 * 3 + 3 + 3 * 5 + 5, 3 * 5 + 5)
    assert guided.macs == 256 * 256 * 3 * 3 + 3 * 5
    assert (draws.parameters, draws.macs) == (None, None)


def test_cost_is_not_measured_when_not_wanted(photo, own):
    options = ComparisonOptions(costs=False)
    report = restorekit.compare(photo, degrade="noise", models=[f"{own}:network"], options=options)
    assert report.models[-1].macs is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory on a CPU is read from Linux's /proc")
def test_peak_memory_is_at_least_what_was_held():
    with peak_memory(restorekit.load("classical:median", device="cpu")) as peak:
        held = np.ones(300_000_000, dtype=np.uint8)  # much, since a busy system takes back cold pages meanwhile
        del held
    found = peak()
    if found is None:
        pytest.skip("this system does not let a process reset its own peak")
    assert 200e6 < found < 400e6


def test_rerun_gives_identical_numbers(photo, own):
    options = ComparisonOptions(seeds=2, costs=False)
    first, second = (
        restorekit.compare(photo, degrade="noise:sigma=25", models=[f"{own}:Draws"], options=options) for _ in range(2)
    )
    assert numbers(first) == numbers(second)
    assert first.table().to_json()[0]["mean"] == second.table().to_json()[0]["mean"]


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_interrupted_and_resumed_gives_identical_numbers_and_pictures(photo, own, tmp_path, stop):
    (photo.parent / "another.png").write_bytes(photo.read_bytes())

    def run(journal, on_step=None):
        options = ComparisonOptions(seeds=2, costs=False, journal=journal)
        models = [f"{own}:Draws", f"{own}:network"]
        return restorekit.compare(
            photo.parent, degrade="noise:sigma=25", models=models, options=options, on_step=on_step
        )

    steps = []

    def interrupt(image, model):
        if len(steps) == stop:
            raise KeyboardInterrupt
        steps.append((image, model))

    whole = run(None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", interrupt)
    again = []
    resumed = run(tmp_path / "out", lambda *step: again.append(step))
    assert len(again) == 8 - stop
    assert not set(again) & set(steps)
    assert numbers(resumed) == numbers(whole)
    assert resumed.models == whole.models
    for image, by_label in whole.pictures.items():
        for label, picture in by_label.items():
            np.testing.assert_array_equal(resumed.pictures[image][label], picture)


def test_journal_of_another_comparison_or_photo_is_not_used(photo, tmp_path):
    def run(seed):
        steps = []
        options = ComparisonOptions(seed=seed, journal=tmp_path / "out")
        restorekit.compare(photo, degrade="noise", options=options, on_step=lambda *step: steps.append(step))
        return len(steps)

    assert run(0) == 2
    assert run(0) == 0
    assert run(1) == 2
    PIL.Image.new("RGB", (64, 48), "gray").save(photo)
    assert run(1) == 2


def test_an_edited_model_is_measured_anew(photo, own, tmp_path, monkeypatch):
    """As after an interruption, in a process that has not loaded the module yet."""
    code = tmp_path / f"{own.removeprefix('python:')}.py"

    def run(factor):
        text = f"def make():\n    return lambda images: images * {factor}\n"
        if not code.exists() or code.read_text() != text:
            code.write_text(text)
        monkeypatch.delitem(sys.modules, code.stem, raising=False)
        importlib.invalidate_caches()
        steps = []
        options = ComparisonOptions(costs=False, journal=tmp_path / "out")
        report = restorekit.compare(
            photo, degrade="noise", models=[f"{own}:make"], options=options, on_step=lambda *step: steps.append(step)
        )
        return len(steps), report.find("ramp.png", f"{own}:make").scores["psnr[rgb|per-image|u8|crop0]"]

    first, again, edited = run("0.95"), run("0.95"), run("0.5000")
    assert (first[0], again[0], edited[0]) == (3, 0, 3)
    assert first[1] == again[1] != edited[1]


def test_journal_survives_a_torn_last_line(photo, tmp_path):
    options = ComparisonOptions(journal=tmp_path / "out")
    whole = restorekit.compare(photo, degrade="noise", options=options)
    lines = tmp_path / "out" / ".restorekit-compare" / "scores.jsonl"
    lines.write_text(lines.read_text()[:-40])
    steps = []
    resumed = restorekit.compare(photo, degrade="noise", options=options, on_step=lambda *step: steps.append(step))
    assert steps == [("ramp.png", "classical:median")]
    assert numbers(resumed) == numbers(whole)


def test_seeds_must_be_positive(photo):
    with pytest.raises(UsageError, match="seeds: expected at least 1, got 0"):
        restorekit.compare(photo, degrade="noise", options=ComparisonOptions(seeds=0))


RUNAWAY = '''
import torch

from restorekit.core.restorer import InputSpec


class Runaway:
    """Gives noise of twice the full range."""

    name, spec = "runaway", InputSpec()

    def to(self, device, precision="float32"):
        return self

    def restore(self, degraded, *, generator=None):
        return degraded + 2 * torch.randn(degraded.shape, generator=generator)
'''


@pytest.fixture
def cup(tmp_path):
    """A photo of 128x160 px in a folder of its own."""
    path = tmp_path / "clean" / "cup.png"
    path.parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(read_image("sample:coffee").samples[:128, :160]).save(path)
    return path


def test_a_runaway_model_is_scored_as_its_input_and_the_report_says_so(cup, tmp_path, monkeypatch):
    (tmp_path / "runaway_models.py").write_text(RUNAWAY)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = "python:runaway_models:Runaway"
    report = restorekit.compare(cup, degrade="noise:sigma=25", models=[model], options=ComparisonOptions(costs=False))
    given, kept = report.find("cup.png", "input"), report.find("cup.png", model)
    assert kept.scores == given.scores
    assert given.warnings == ()
    (line,) = kept.warnings
    assert line.startswith("blow-up: ")
    assert f"{model} on cup.png: {line}" in report.table().footnotes


def test_inputs_made_here_are_what_their_label_says(cup):
    options = ComparisonOptions(costs=False)
    (found,) = restorekit.compare(cup, degrade="noise:sigma=25,clip=0", options=options).audits
    assert (found.image, found.source, found.problems) == ("cup.png", "difference", ())
    assert found.sigma == pytest.approx(25, rel=0.05)
    assert restorekit.compare(cup, degrade="noise|blur", options=options).audits == ()


def test_pairs_that_are_not_what_they_are_said_to_be_are_flagged(cup, tmp_path):
    """Noise of sigma 25 that was added before the photo was made smaller: weaker, and no longer white."""
    clean = read_image(cup).samples
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape)
    for folder, samples in (("small", clean), ("noisy", np.clip(noisy, 0, 255).astype(np.uint8))):
        (tmp_path / folder).mkdir()
        PIL.Image.fromarray(samples).resize((80, 64), PIL.Image.Resampling.BICUBIC).save(tmp_path / folder / "cup.png")
    options = ComparisonOptions(costs=False, label="noise:sigma=25")
    report = restorekit.compare(tmp_path / "noisy", clean=tmp_path / "small", options=options)
    (found,) = report.audits
    assert found.sigma < 12
    assert found.correlation > 0.1
    assert "expected sigma 25" in found.problems[0]


def test_labels_are_checked_before_any_work(cup):
    with pytest.raises(SpecError, match="did you mean noise"):
        restorekit.compare(cup.parent, clean=cup.parent, options=ComparisonOptions(label="nosie:sigma=25"))
