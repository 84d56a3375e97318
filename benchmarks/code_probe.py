"""What a ConStyle code knows of the degradation: linear probes, fitted on some photos and asked about others.

    python benchmarks/code_probe.py --model MODEL --train FOLDER --test FOLDER [--photos 120] [--json FILE.json]

- Every photo is degraded in each way of ``KINDS``, seeded by its name; its code is that of the whole photo.
- Which degradation: softmax regression on standardised codes with a little L2; chance is one in six.
- How much noise: ridge regression of sigma on the codes of photos with white noise of sigma 0 to 55.
- The photos asked about are none of those the probe was fitted on.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from prior_denoising import read_photos
from results import Run
from torch import Tensor

import restorekit
from restorekit.constyle import embed
from restorekit.core.degradation.chain import degrade_images
from restorekit.core.randomness import generator_for

__all__ = ["KINDS", "Probe", "fit_classes", "fit_ridge", "main"]

KINDS = {
    "clean": "none",
    "noise": "noise:sigma=5..50",
    "rain": "rain",
    "haze": "haze",
    "low light": "low_light",
    "blur": "motion:length=4..30",
}
SIGMA = (0.0, 55.0)
LONGEST_PX = 512

Codes = Float[Tensor, "photos 128"]


class Probe:
    """An affine map of standardised codes."""

    def __init__(self, codes: Codes) -> None:
        self._mean = codes.mean(dim=0)
        self._scale = codes.std(dim=0).clamp(min=1e-6)
        self.weight = torch.zeros(codes.shape[1], 1, dtype=torch.float64)
        self.bias = torch.zeros(1, dtype=torch.float64)

    def standardised(self, codes: Codes) -> Tensor:
        """Mean 0 and deviation 1 over the codes it was fitted on, float64."""
        return ((codes - self._mean) / self._scale).double()

    def __call__(self, codes: Codes) -> Tensor:
        """(photos, outputs)."""
        return self.standardised(codes) @ self.weight + self.bias


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="constyle")
    parser.add_argument("--train", type=Path, required=True, metavar="FOLDER", help="clean photos")
    parser.add_argument("--test", type=Path, required=True, metavar="FOLDER", help="other clean photos")
    parser.add_argument("--photos", type=int, default=120, help="at most this many of each folder, evenly spaced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE.json")
    chosen = parser.parse_args(arguments)
    model = restorekit.load(chosen.model)
    train, test = (read_photos(folder, chosen.photos, side_px=LONGEST_PX) for folder in (chosen.train, chosen.test))
    confusion = _confusion(model, train, test, chosen.seed)
    errors = _sigma_errors(model, train, test, chosen.seed)
    print(to_markdown(confusion, errors))
    if chosen.json is not None:
        command = f"python benchmarks/code_probe.py --model {chosen.model} --train {chosen.train.name}"
        run = Run.here(
            f"{command} --test {chosen.test.name} --photos {chosen.photos} --seed {chosen.seed}",
            threads=[torch.get_num_threads()],
            smoke=False,
        )
        record: dict[str, Any] = {"run": run.model_dump(mode="json", exclude={"limits", "load"})}
        record |= {"kinds": list(KINDS), "confusion": confusion.tolist(), "sigma_errors": errors}
        chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def to_markdown(confusion: Int64[Tensor, "kinds kinds"], errors: Sequence[float]) -> str:
    """The confusion matrix, a row for each true kind, and how far sigma is missed."""
    share = float(confusion.diag().sum() / confusion.sum())
    lines = [f"| true | {' | '.join(KINDS)} |", f"| --- |{' ---: |' * len(KINDS)}"]
    lines += [f"| {kind} | {' | '.join(map(str, row))} |" for kind, row in zip(KINDS, confusion.tolist(), strict=True)]
    within = float(np.mean(np.abs(errors) <= 5))
    return "\n".join(
        [
            *lines,
            "",
            f"Named right: {share:.1%} of {int(confusion.sum())} (chance {1 / len(KINDS):.0%}). Sigma: mean absolute "
            f"error {np.mean(np.abs(errors)):.1f} grey levels, within 5 for {within:.0%} of {len(errors)} photos.",
        ]
    )


def fit_classes(codes: Codes, labels: Int64[Tensor, " photos"], classes: int, *, penalty: float = 1e-2) -> Probe:
    """Softmax regression; ``penalty`` times half the squared weights is added to the mean cross-entropy."""
    probe = Probe(codes)
    weight = torch.zeros(codes.shape[1], classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    seen = probe.standardised(codes)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(seen @ weight + bias, labels) + penalty / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)
    probe.weight, probe.bias = weight.detach(), bias.detach()
    return probe


def fit_ridge(codes: Codes, targets: Float[Tensor, " photos"], *, penalty: float = 1e-2) -> Probe:
    """Least squares with ``penalty`` times the squared weights, per photo."""
    probe = Probe(codes)
    seen, mean = probe.standardised(codes), targets.double().mean()
    gram = seen.T @ seen + penalty * len(seen) * torch.eye(seen.shape[1], dtype=torch.float64)
    probe.weight = torch.linalg.solve(gram, seen.T @ (targets.double() - mean)[:, None])
    probe.bias = mean[None]
    return probe


def _confusion(
    model: Any, train: dict[str, Tensor], test: dict[str, Tensor], seed: int
) -> Int64[Tensor, "kinds kinds"]:
    def coded(photos: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        codes = [_codes(model, photos, lambda _, spec=spec: spec, seed) for spec in KINDS.values()]
        return torch.cat(codes), torch.arange(len(KINDS)).repeat_interleave(len(photos))

    probe = fit_classes(*coded(train), len(KINDS))
    codes, labels = coded(test)
    found = probe(codes).argmax(dim=1)
    return torch.bincount(labels * len(KINDS) + found, minlength=len(KINDS) ** 2).view(len(KINDS), -1)


def _sigma_errors(model: Any, train: dict[str, Tensor], test: dict[str, Tensor], seed: int) -> list[float]:
    def coded(photos: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        low, high = SIGMA
        sigmas = {
            name: low + (high - low) * float(torch.rand((), generator=generator_for(seed, name))) for name in photos
        }
        codes = _codes(model, photos, lambda name: f"noise:sigma={sigmas[name]:.3f},clip=0", seed)
        return codes, torch.tensor(list(sigmas.values()))

    probe = fit_ridge(*coded(train))
    codes, sigmas = coded(test)
    return [round(float(error), 3) for error in probe(codes)[:, 0] - sigmas]


def _codes(model: Any, photos: dict[str, Tensor], spec_of: Any, seed: int) -> Codes:
    codes = []
    for name, photo in photos.items():
        degraded, _ = degrade_images(photo, spec_of(name), generator=generator_for(seed, name))
        codes.append(embed(degraded, model))
    return torch.cat(codes)


if __name__ == "__main__":
    main()
