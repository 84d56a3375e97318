from importlib import resources

import cv2
import numpy as np
import pytest
import torch

from restorekit.core.image.convention import Images


@pytest.fixture(scope="session")
def photos() -> Images:
    """Three different crops of 96 x 80 px from a real photo."""
    data = np.frombuffer((resources.files("skimage") / "data" / "coffee.png").read_bytes(), np.uint8)
    photo = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert photo is not None
    whole = torch.from_numpy(photo[..., ::-1].copy()).permute(2, 0, 1).float() / 255
    return torch.stack([whole[:, top : top + 96, left : left + 80] for top, left in ((0, 0), (120, 200), (280, 430))])
