"""guided-diffusion's U-Net once more, naively: straight from a state dict in its layout, functions only.

Written from the paper (arXiv:2105.05233, appendix) and the names in the checkpoints; shares no code with restorekit or
diffusers. Resampling is inside residual blocks, norms are scale-shift, attention rows are [head][q, k, v][channel].
"""

import math

import torch
import torch.nn.functional as F


class RandomState(dict):
    """Random tensors, added by the official names of what they belong to."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def add(self, name, *shape, gain=1.0):
        self[f"{name}.weight"] = torch.randn(shape) * gain * math.prod(shape[1:]) ** -0.5
        self[f"{name}.bias"] = torch.randn(shape[0]) * 0.1

    def norm(self, name, c):
        self[f"{name}.weight"], self[f"{name}.bias"] = torch.rand(c) + 0.5, torch.randn(c) * 0.1

    def residual(self, name, inside, out):
        self.norm(f"{name}.in_layers.0", inside)
        self.add(f"{name}.in_layers.2", out, inside, 3, 3)
        self.add(f"{name}.emb_layers.1", 2 * out, 4 * self.width)
        self.norm(f"{name}.out_layers.0", out)
        self.add(f"{name}.out_layers.3", out, out, 3, 3)
        if inside != out:
            self.add(f"{name}.skip_connection", out, inside, 1, 1)

    def attention(self, name, c):
        self.norm(f"{name}.norm", c)
        self.add(f"{name}.qkv", 3 * c, c, 1, gain=2.0)
        self.add(f"{name}.proj_out", c, c, 1)


def random_state(width=32, multipliers=(1, 1, 2), attends=(False, True, True), depth=2, outputs=6):
    """A whole model: ``depth`` residual blocks per level, one more where resolution changes."""
    state = RandomState(width)
    state.add("time_embed.0", 4 * width, width)
    state.add("time_embed.2", 4 * width, 4 * width)
    state.add("input_blocks.0.0", width, 3, 3, 3)
    c, skips = width, [width]
    for level, multiplier in enumerate(multipliers):
        for layer in range(depth + (level + 1 < len(multipliers))):
            name = f"input_blocks.{len(skips)}"
            state.residual(f"{name}.0", c, multiplier * width)
            c = multiplier * width
            if attends[level] and layer < depth:
                state.attention(f"{name}.1", c)
            skips.append(c)
    state.residual("middle_block.0", c, c)
    state.attention("middle_block.1", c)
    state.residual("middle_block.2", c, c)
    blocks = len(skips)
    for level in reversed(range(len(multipliers))):
        for layer in range(depth + 1):
            name = f"output_blocks.{blocks - len(skips)}"
            state.residual(f"{name}.0", c + skips.pop(), multipliers[level] * width)
            c = multipliers[level] * width
            if attends[level]:
                state.attention(f"{name}.1", c)
            if level and layer == depth:
                state.residual(f"{name}.{2 if attends[level] else 1}", c, c)
    state.norm("out.0", c)
    state.add("out.2", outputs, c, 3, 3)
    return dict(state)


class Forward:
    """The forward pass of a state dict."""

    def __init__(self, state, head_channels):
        self.state, self.head_channels = state, head_channels

    def linear(self, name, x):
        return F.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def conv(self, name, x):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def norm(self, name, x):
        b, c = x.shape[:2]
        grouped = x.reshape(b, 32, -1)
        mean, variance = grouped.mean(2, keepdim=True), grouped.var(2, unbiased=False, keepdim=True)
        normal = ((grouped - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)
        ends = (1, c, *(1,) * (x.ndim - 2))
        return normal * self.state[f"{name}.weight"].view(ends) + self.state[f"{name}.bias"].view(ends)

    def residual(self, name, x, embedding, resample=None):
        h = F.silu(self.norm(f"{name}.in_layers.0", x))
        if resample is not None:
            h, x = resample(h), resample(x)
        h = self.conv(f"{name}.in_layers.2", h)
        scale, shift = self.linear(f"{name}.emb_layers.1", F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = self.norm(f"{name}.out_layers.0", h) * (1 + scale) + shift
        h = self.conv(f"{name}.out_layers.3", F.silu(h))
        return h + (self.conv(f"{name}.skip_connection", x) if f"{name}.skip_connection.weight" in self.state else x)

    def attention(self, name, x):
        b, c, height, width = x.shape
        flat = x.reshape(b, c, height * width)
        weight, bias = self.state[f"{name}.qkv.weight"][:, :, 0], self.state[f"{name}.qkv.bias"]
        rows = torch.einsum("oc,bcn->bon", weight, self.norm(f"{name}.norm", flat)) + bias[:, None]
        made, d = [], self.head_channels
        for head in range(c // d):
            q, k, v = (rows[:, (3 * head + part) * d : (3 * head + part + 1) * d] for part in range(3))
            attends = (torch.einsum("bcn,bcm->bnm", q, k) / math.sqrt(d)).softmax(dim=2)
            made.append(torch.einsum("bnm,bcm->bcn", attends, v))
        joined, out = torch.cat(made, dim=1), self.state[f"{name}.proj_out.weight"][:, :, 0]
        joined = torch.einsum("oc,bcn->bon", out, joined) + self.state[f"{name}.proj_out.bias"][:, None]
        return x + joined.reshape(x.shape)

    def __call__(self, x, timestep, depth=2):
        width = self.state["time_embed.0.weight"].shape[1]
        angles = timestep * torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2))
        embedding = torch.cat([angles.cos(), angles.sin()])[None]
        embedding = self.linear("time_embed.2", F.silu(self.linear("time_embed.0", embedding)))
        embedding = embedding.expand(len(x), -1)
        h = self.conv("input_blocks.0.0", x)
        skips, index = [h], 1
        while f"input_blocks.{index}.0.in_layers.0.weight" in self.state:
            down = (lambda z: F.avg_pool2d(z, 2)) if index % (depth + 1) == 0 else None
            h = self.residual(f"input_blocks.{index}.0", h, embedding, down)
            if f"input_blocks.{index}.1.qkv.weight" in self.state:
                h = self.attention(f"input_blocks.{index}.1", h)
            skips.append(h)
            index += 1
        h = self.residual("middle_block.0", h, embedding)
        h = self.residual("middle_block.2", self.attention("middle_block.1", h), embedding)
        for index in range(len(skips)):
            h = self.residual(f"output_blocks.{index}.0", torch.cat([h, skips.pop()], dim=1), embedding)
            if f"output_blocks.{index}.1.qkv.weight" in self.state:
                h = self.attention(f"output_blocks.{index}.1", h)
            for layer in (1, 2):
                if f"output_blocks.{index}.{layer}.in_layers.0.weight" in self.state:
                    up = lambda z: z.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)  # noqa: E731
                    h = self.residual(f"output_blocks.{index}.{layer}", h, embedding, up)
        return self.conv("out.2", F.silu(self.norm("out.0", h)))
