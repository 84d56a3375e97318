"""What a prior says of other photos: of the bundled samples, each degraded in five ways."""

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.prior import FeaturePrior
from restorekit.errors import ImageError
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.refine.other_photos import DEGRADATIONS, OtherPhotosPrior


class Counting(StatisticsPrior):
    """Remembers what it was asked about."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def features(self, images):
        self.asked.append(images)
        return super().features(images)

    def feature_map(self, images):
        return F.normalize(images[:, :, ::64, ::64], dim=1)


@pytest.fixture
def prior():
    return Counting()


def test_another_photo_follows_from_the_pixels_alone(prior) -> None:
    other, images = OtherPhotosPrior(prior, "shuffled"), torch.rand(12, 3, 8, 8)
    assert isinstance(other, FeaturePrior)
    vectors = other.features(images)
    torch.testing.assert_close(other.features(images[3:4]), vectors[3:4])
    said = torch.cat([StatisticsPrior().features(photo) for photo in prior.asked])
    assert all((said == vector).all(dim=1).any() for vector in vectors)
    assert len(vectors.unique(dim=0)) > 4
    assert other.dim == prior.dim == 31


def test_mean_is_that_of_all_other_photos_at_unit_length(prior) -> None:
    vectors = OtherPhotosPrior(prior, "mean").features(torch.rand(2, 3, 8, 8))
    said = torch.cat([StatisticsPrior().features(photo) for photo in prior.asked])
    for vector in vectors:
        torch.testing.assert_close(vector, F.normalize(said.mean(0), dim=0))


def test_prior_is_asked_once_about_each_sample_and_degradation(prior) -> None:
    other = OtherPhotosPrior(prior, "mean")
    assert prior.asked == []
    for _ in range(2):
        other.features(torch.rand(1, 3, 8, 8))
    assert len(prior.asked) == 4 * len(DEGRADATIONS)
    assert {tuple(photo.shape) for photo in prior.asked} == {(1, 3, 256, 256)}


@pytest.mark.parametrize("how", ["shuffled", "mean"])
def test_maps_are_exchanged_too(prior, how) -> None:
    maps = OtherPhotosPrior(prior, how).feature_map(torch.rand(3, 3, 8, 8))
    assert maps.shape == (3, 3, 4, 4)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones(3, 4, 4))


def test_bad_images_are_refused(prior) -> None:
    with pytest.raises(ImageError, match="statistics, mean: expected finite values"):
        OtherPhotosPrior(prior, "mean").features(torch.full((1, 3, 8, 8), torch.nan))
