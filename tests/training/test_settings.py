import subprocess
import sys

import pytest
from pydantic import ValidationError

from restorekit.training.settings import TrainingSettings


def test_settings_load_without_torch() -> None:
    code = "import sys, restorekit.training.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_describe_every_field() -> None:
    assert [name for name, field in TrainingSettings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"step": 3}, "step\n.*Extra inputs"),
        ({"steps": 0}, "steps\n.*greater than or equal to 1"),
        ({"scales": []}, "scales\n.*at least 1 item"),
        ({"scales": [0.5, 1.5]}, "scales.1\n.*less than or equal to 1"),
        ({"precision": "half"}, "precision\n.*'auto', 'float32' or 'bfloat16'"),
        ({"learning_rate": 1e-4, "final_learning_rate": 1e-3}, "expected at most learning_rate 0.0001, got 0.001"),
    ],
)
def test_settings_refuse(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        TrainingSettings.model_validate(values)
