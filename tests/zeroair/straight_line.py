"""The authors' algorithm once more, straight down: written from the equations, sharing no code with restorekit.

Sampling follows guided-diffusion with a respaced schedule (float64 tables, learned-range variance, clipped estimates);
guidance follows TAO. Images of the loop are in [-1, 1], those of the losses in [0, 1].
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Constants(NamedTuple):
    """Of one task: weights of the fit (lam), of the guidance (gam), and the scale s of images of 256 px."""

    seed: int
    d_rate: float
    lam: tuple[float, float, float]
    gam: tuple[float, float, float, float, float]
    scale: float


DEHAZE = Constants(10, 5e-4, (0.2, 0.5, 0.3), (2.0, 1.0, 1e-3, 0.0, 1e-4), 25000)
LOW_LIGHT = Constants(10, 5e-5, (0.02, 0.3, 0.6), (0.0, 1.0, 2e-3, 5e-5, 4e-5), 50000)
DENOISE = Constants(20, 1e-3, (3.0, 2e-3, 1e-3), (0.5, 1.0, 0.0, 0.0, 6e-4), 6000)


def adapter():
    act = nn.LeakyReLU()
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1), act, nn.Conv2d(64, 128, 3, 1, 1), act, nn.Conv2d(128, 256, 3, 1, 1), act,
        nn.Conv2d(256, 3, 1),
    )  # fmt: skip


def discriminator():
    act = nn.LeakyReLU()
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, 1), act, nn.Conv2d(64, 128, 3, 2, 1), act, nn.Conv2d(128, 256, 3, 2, 1), act,
        nn.Conv2d(256, 1, 1), nn.Sigmoid(),
    )  # fmt: skip


def bce(probability, target):
    return F.binary_cross_entropy(probability, torch.full_like(probability, target))


def perceptual(features, a, b):
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return ((features((a - mean) / deviation) - features((b - mean) / deviation)) ** 2).mean()


def variation(x):
    b, c, h, w = x.shape
    down = ((x[:, :, 1:] - x[:, :, :-1]) ** 2).sum() / (c * (h - 1) * w)
    across = ((x[:, :, :, 1:] - x[:, :, :, :-1]) ** 2).sum() / (c * h * (w - 1))
    return 2 * (down + across) / b


class Process:
    """What lives as long as the authors' process: three networks and their optimisers."""

    def __init__(self, constants, features):
        self.k, self.features = constants, features
        self.phi, self.d1, self.d2 = adapter().double(), discriminator().double(), discriminator().double()
        self.phi_adam = torch.optim.Adam(self.phi.parameters(), 1e-3)
        self.d1_adam = torch.optim.Adam(self.d1.parameters(), constants.d_rate)
        self.d2_adam = torch.optim.Adam(self.d2.parameters(), constants.d_rate)

    def fresh_weights(self, generator):
        for network in (self.d2, self.phi, self.d1):
            for layer in network:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, generator=generator)
                    nn.init.zeros_(layer.bias)

    def judge(self, net, adam, fake, real):
        adam.zero_grad()
        (bce(net(fake.detach()), 0.0) + bce(net(real.detach()), 1.0)).backward()
        adam.step()
        return bce(net(fake), 1.0)

    def guide(self, x0, y, t):
        """g = -s grad L at the estimate, after one step of D1 and one of phi."""
        lam, gam = self.k.lam, self.k.gam
        x_in = x0.detach().requires_grad_(True)
        h, target = (x_in + 1) / 2, (y + 1) / 2
        o = self.phi(h.detach())
        adversarial = self.judge(self.d1, self.d1_adam, o, target)
        loss = lam[0] * ((o - h.detach()) ** 2).mean() + lam[1] * perceptual(self.features, o, h.detach())
        self.phi_adam.zero_grad()
        (loss + lam[2] * adversarial).backward()
        self.phi_adam.step()
        q = self.phi(h)
        if t >= 700:
            loss = gam[0] * (1 - (t - 700) / 299) * ((q - target) ** 2).mean()
        else:
            loss = gam[1] * ((q[:1] - target[:1]) ** 2).mean()
            loss = loss + gam[2] * perceptual(self.features, q[:1], target[:1])
            if gam[3]:
                loss = loss + gam[3] * self.judge(self.d2, self.d2_adam, (h - target)[:1], h - q)
            if t < 50:
                loss = loss + gam[4] * variation(h[:1])
        scale = self.k.scale * (3 * x0.shape[2] * x0.shape[3]) / (3 * 256 * 256)
        return torch.autograd.grad(-scale * loss, x_in)[0]

    def run(self, network, image, timesteps):
        """Yield (timestep, estimate, g, next noisy, phi's last layer) for an image in [0, 1]."""
        generator = torch.Generator().manual_seed(self.k.seed)
        self.fresh_weights(generator)
        y = (image * 2 - 1).repeat(2, 1, 1, 1)
        torch.randint(0, 1000, (2,), generator=generator)
        x = torch.randn(y.shape, generator=generator, dtype=torch.float64)
        alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
        for index, t in enumerate(timesteps):
            ab = alpha_bar[t]
            before = alpha_bar[timesteps[index + 1]] if index + 1 < len(timesteps) else 1.0
            beta = 1 - ab / before
            with torch.no_grad():
                eps, v = network(x, t).sample.chunk(2, dim=1)
            x0 = (float(np.sqrt(1 / ab)) * x - float(np.sqrt(1 / ab - 1)) * eps).clamp(-1, 1)
            mean = float(beta * np.sqrt(before) / (1 - ab)) * x0
            mean = mean + float((1 - before) * np.sqrt(ab / before) / (1 - ab)) * x
            noise = torch.randn(x.shape, generator=generator, dtype=torch.float64) if t > 0 else torch.zeros_like(x)
            g = self.guide(x0, y, t)
            x = mean + g
            if t > 0:
                low, high = np.log(beta * (1 - before) / (1 - ab)), np.log(beta)
                log_variance = (v + 1) / 2 * float(high) + (1 - (v + 1) / 2) * float(low)
                x = x + torch.exp(0.5 * log_variance) * noise
            yield t, x0, g, x.clone(), self.phi[-1].weight.detach().clone()
