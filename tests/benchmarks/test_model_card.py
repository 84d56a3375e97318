"""A model card says what its record and the reports say, and keeps what a person wrote."""

import numpy as np
import pytest
from model_card import BEGIN, END, card, main

from restorekit.shipped import ShippedModel, shipped_models
from restorekit.statistics import bootstrap_t_interval

MODEL = ShippedModel(
    name="tiny",
    method="supervised",
    summary="tiny",
    helps=("noise",),
    licence="Apache-2.0",
    parameters=1234,
    bytes=2_500_000,
    sha256="0" * 64,
    recipe="base/tiny",
    data=("a, CC0",),
    steps=9000,
    hours=1.25,
    machine="a box",
)


def test_card_has_the_facts_and_paired_differences(report_of) -> None:
    generator = np.random.default_rng(0)
    start, gains = generator.normal(20, 2, 9), generator.normal(8, 1, 9)
    values = {"input": start, "classical:a": start + 1, "classical:b": start + 5, "tiny": start + gains}
    text = card(MODEL, {"first": report_of(values)})
    assert "| training | 9,000 steps, 1.2 hours on a box |" in text
    assert "| parameters | 1,234, stored in float16: 2.5 MB |" in text
    low, high = bootstrap_t_interval(gains - 5)
    row = next(line for line in text.splitlines() if line.startswith("| first |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:5] == [
        "9",
        f"{start.mean():.2f}",
        f"{start.mean() + 5:.2f} (b)",
        f"**{(start + gains).mean():.2f}**",
    ]
    assert cells[6] == f"{(gains - 5).mean():+.2f} [{low:.2f}, {high:.2f}]"
    assert cells[7] == f"{(start + gains).min():.2f}"


def test_card_gives_no_interval_for_few_images_and_no_difference_from_infinity(report_of) -> None:
    few = report_of({"input": [20.0, 21.0], "classical:a": [22.0, 22.0], "tiny": [25.0, 25.0]})
    clean = report_of({"input": [np.inf] * 9, "classical:a": [30.0] * 9, "tiny": [40.0] * 9})
    rows = [line for line in card(MODEL, {"few": few, "clean": clean}).splitlines() if line[:5] in ("| few", "| cle")]
    assert [cell.strip() for cell in rows[0].split("|")[6:8]] == ["+4.50", "+3.00"]
    assert rows[1].split("|")[6].strip() == "–"


@pytest.mark.parametrize("name", shipped_models())
def test_generated_part_is_replaced_and_the_rest_kept(name: str, report_of, tmp_path) -> None:
    values = {"input": [20.0] * 8, "classical:a": [22.0] * 8, name: [25.0] * 8}
    report_of(values).save(tmp_path / "out/cbsd68__white_noise_sigma_15")
    page = tmp_path / "card.md"
    page.write_text(f"# title\n\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        main([name, "--reports", str(tmp_path / "out"), "--card", str(page)])
        text = page.read_text()
        assert text.startswith("# title\n\nbefore\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert text.count("white noise sigma 15") == 1
