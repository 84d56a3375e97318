"""The refinement module once more, as plainly as it can be written: every concatenation made, the filter unfolded.

Independent of restorekit: written from the layer table of the authors' released network. ``weights_of`` gives its
weights from one of our modules; nothing else here knows of ours.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def lrelu(x):
    return F.leaky_relu(x, 0.1)


def conv(inside, out, size=3, stride=1, bias=False):
    return nn.Conv2d(inside, out, size, stride, size // 2, bias=bias)


class Block(nn.Module):
    """One transformer block with a single head."""

    def __init__(self, c, hidden):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.temperature = nn.Parameter(torch.ones(1, 1, 1))
        self.qkv, self.qkv_depthwise = conv(c, 3 * c, 1), nn.Conv2d(3 * c, 3 * c, 3, 1, 1, groups=3 * c, bias=False)
        self.out = conv(c, c, 1)
        self.up, self.down = conv(c, 2 * hidden, 1), conv(hidden, c, 1)
        self.up_depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, 1, 1, groups=2 * hidden, bias=False)

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.norm1(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        q, k, v = self.qkv_depthwise(self.qkv(y)).reshape(b, 3, c, h * w).unbind(1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = (q @ k.transpose(1, 2) * self.temperature).softmax(-1)
        x = x + self.out((attention @ v).reshape(b, c, h, w))
        y = self.norm2(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        gate, content = self.up_depthwise(self.up(y)).chunk(2, 1)
        return x + self.down(F.gelu(gate) * content)


class Released(nn.Module):
    """R as released: 671,735 weights for a prior of 512 numbers."""

    def __init__(self, prior_dim=512, c=16):
        super().__init__()
        self.enc1, self.enc2, self.enc3 = conv(6, c), conv(c, c, stride=2), conv(c, c, stride=2)
        self.in1, self.in2 = nn.InstanceNorm2d(c, affine=True), nn.InstanceNorm2d(c, affine=True)
        self.pos_m1, self.pos_m2 = conv(2, c), conv(c, c, 1)
        self.pos_c1, self.pos_c2 = conv(2, c), conv(c, c, 1)
        self.map_m1, self.map_m2 = nn.Linear(prior_dim, 256, bias=False), nn.Linear(256, 4 * c, bias=False)
        self.map_c1, self.map_c2 = nn.Linear(prior_dim, 256, bias=False), nn.Linear(256, 4 * c, bias=False)
        self.range1, self.range2 = conv(6 * c, c), conv(c, 1)
        self.long = nn.Sequential(*(Block(c, int(c * 2.66)) for _ in range(4)))
        self.short1, self.short2 = conv(c, c, bias=True), conv(c, c, bias=True)
        self.channel1, self.channel2 = nn.Linear(5 * c, c, bias=False), nn.Linear(c, c, bias=False)
        self.kernel1, self.kernel2 = conv(6 * c, 9 * c), conv(9 * c, 9 * c)
        self.spatial, self.fuse = conv(c, 1), conv(2 * c, c, 1)
        self.dec1, self.dec2 = conv(c, 4 * c), conv(c, 4 * c)
        self.dec3, self.dec4 = conv(c, c, bias=True), conv(c, 3, bias=True)

    def forward(self, restored, degraded, g):
        x = lrelu(self.in1(self.enc1(torch.cat([restored, degraded], 1))))
        f = self.enc3(self.in2(self.enc2(x)))
        b, _, h, w = f.shape
        rows = torch.linspace(-1, 1, h, dtype=f.dtype, device=f.device)
        columns = torch.linspace(-1, 1, w, dtype=f.dtype, device=f.device)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None].repeat(b, 1, 1, 1)

        def as_map(vector):
            return vector[:, :, None, None].repeat(1, 1, h, w)

        s_m = self.pos_m2(lrelu(self.pos_m1(grid)))
        t_m = self.map_m2(lrelu(self.map_m1(g)))
        m = torch.sigmoid(self.range2(lrelu(self.range1(torch.cat([f, as_map(t_m), s_m], 1)))))
        short = f + self.short2(F.relu(self.short1(f)))
        f_hat = m * self.long(f) + (1 - m) * short

        t_c = self.map_c2(lrelu(self.map_c1(g)))
        m_c = torch.sigmoid(self.channel2(lrelu(self.channel1(torch.cat([f_hat.mean((2, 3)), t_c], 1)))))
        s_c = self.pos_c2(lrelu(self.pos_c1(grid)))
        kernels = self.kernel2(lrelu(self.kernel1(torch.cat([f_hat, as_map(t_c), s_c], 1))))
        m_s = torch.sigmoid(self.spatial(lrelu(unfolded_filter(f_hat, kernels))))
        f_bar = self.fuse(torch.cat([as_map(m_c) * f_hat, m_s * f_hat], 1)) + f_hat

        y = lrelu(F.pixel_shuffle(self.dec1(f_bar), 2))
        y = lrelu(F.pixel_shuffle(self.dec2(y), 2))
        return restored.clamp(0, 1) + self.dec4(lrelu(self.dec3(y)))


def unfolded_filter(features, kernels):
    b, c, h, w = features.shape
    patches = F.unfold(F.pad(features, (1, 1, 1, 1), mode="replicate"), 3).reshape(b, c, 9, h, w)
    return (patches * kernels.reshape(b, c, 9, h, w)).sum(2)


OURS = {
    "enc1": "encoder.stem",
    "in1": "encoder.stem_norm",
    "enc2": "encoder.to_half",
    "in2": "encoder.half_norm",
    "enc3": "encoder.to_quarter",
    "pos_m1": "enhancement.range_map.guided.embedding.expand",
    "pos_m2": "enhancement.range_map.guided.embedding.mix",
    "map_m1": "enhancement.range_map.mapping.layers.0",
    "map_m2": "enhancement.range_map.mapping.layers.2",
    "range1": "enhancement.range_map.guided",
    "range2": "enhancement.range_map.score",
    "short1": "enhancement.short.first",
    "short2": "enhancement.short.second",
    "pos_c1": "attention.spatial.guided.embedding.expand",
    "pos_c2": "attention.spatial.guided.embedding.mix",
    "map_c1": "attention.mapping.layers.0",
    "map_c2": "attention.mapping.layers.2",
    "channel1": "attention.channel.squeeze",
    "channel2": "attention.channel.excite",
    "kernel1": "attention.spatial.guided",
    "kernel2": "attention.spatial.kernels",
    "spatial": "attention.spatial.score",
    "fuse": "attention.fuse",
    "dec1": "decoder.to_half",
    "dec2": "decoder.to_full",
    "dec3": "decoder.smooth",
    "dec4": "decoder.tail",
}
BLOCK = {
    "norm1": "attention_norm",
    "qkv": "attention.expand",
    "qkv_depthwise": "attention.depthwise",
    "out": "attention.project",
    "norm2": "feedforward_norm",
    "up": "feedforward.expand",
    "up_depthwise": "feedforward.depthwise",
    "down": "feedforward.project",
}
for index in range(4):
    OURS |= {f"long.{index}.{plain}": f"enhancement.long.blocks.{index}.{ours}" for plain, ours in BLOCK.items()}


def weights_of(ours, names):
    """Our state dict under the names of ``Released``."""
    found = {}
    for name in names:
        layer, _, kind = name.rpartition(".")
        if kind == "temperature":
            found[name] = ours[f"enhancement.long.blocks.{layer.removeprefix('long.')}.attention.temperature"]
        else:
            found[name] = ours[f"{OURS[layer]}.{kind}"]
    return found


def shaken(module, seed=0):
    """Weights in general position: what starts as zero or one would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
            if weight.ndim > 1 and not name.endswith("temperature"):
                weight.copy_(1.5 * noise / math.prod(weight.shape[1:]) ** 0.5)
            else:
                weight.copy_(0.3 * noise + (0 if name.endswith("bias") else 1))
    return module
