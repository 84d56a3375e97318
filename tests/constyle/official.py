"""The authors' ConStyle networks once more, naively: straight from a state dict in their layout, functions only.

Independent of restorekit: written from the specification and the names in the authors' checkpoints, nothing folded.
"""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F

spec = importlib.util.spec_from_file_location("official", Path(__file__).parents[1] / "core/networks/official.py")
core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)


class Weights(dict):
    """A state dict that draws what is missing, so that a first forward pass writes the checkpoint that it needs."""

    def draw(self, name, *shape, around=0.0, scale=None):
        if name not in self:
            fan_in = max(torch.Size(shape[1:]).numel(), 1)
            self[name] = around + torch.randn(shape) * (fan_in**-0.5 if scale is None else scale)
        return self[name]


def conv(w, name, x, out, size=1, *, bias=False, stride=1, groups=1):
    kernel = w.draw(f"{name}.weight", out, x.shape[1] // groups, size, size)
    shift = w.draw(f"{name}.bias", out, scale=0.1) if bias else None
    return F.conv2d(x, kernel, shift, stride=stride, padding=size // 2, groups=groups)


def linear(w, name, x, out, *, bias=False):
    """Over the last axis."""
    shift = w.draw(f"{name}.bias", out, scale=0.1) if bias else None
    return F.linear(x, w.draw(f"{name}.weight", out, x.shape[-1]), shift)


def prelu(w, name, x):
    return F.prelu(x, w.draw(f"{name}.weight", x.shape[1], around=0.25, scale=0.1))


def normed(x, weight, bias, eps):
    """Over channels, pixel by pixel."""
    mean = x.mean(1, keepdim=True)
    deviation = ((x - mean).square().mean(1, keepdim=True) + eps).sqrt()
    return (x - mean) / deviation * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


def encode(w, image, width):
    """Maps and code of the encoder in evaluation mode."""
    maps, x = [], image
    for stage, outs in enumerate([(1, 1, 2), (2, 4), (8, 8), (16, 16)], start=1):
        for index, out in enumerate(outs):
            name = f"ConStyle.encoder_q.stage{stage}.{index}.0"
            x = F.leaky_relu(conv(w, name, x, out * width, 3, stride=1 + (index == len(outs) - 1)), 0.1)
        maps.append(x)
    code = x.mean(dim=(2, 3))
    for head in ("mlp1", "mlp2"):
        at = f"ConStyle.encoder_q.{head}"
        code = linear(w, f"{at}.0", code, 128, bias=True)
        mean, variance = w.draw(f"{at}.1.running_mean", 128), w.draw(f"{at}.1.running_var", 128, around=1, scale=0.1)
        weight, bias = w.draw(f"{at}.1.weight", 128, around=1, scale=0.1), w.draw(f"{at}.1.bias", 128, scale=0.1)
        w.setdefault(f"{at}.1.num_batches_tracked", torch.tensor(7))
        code = F.gelu((code - mean) / (variance + 1e-5).sqrt() * weight + bias)
    return maps[:3], code


# --------------------------------------------------------------------------------------------------------------- blocks


def naf_block(w, name, x, _):
    c = x.shape[1]

    def norm(which, y):
        weight, bias = (w.draw(f"{name}.{which}.{kind}", c, around=kind == "weight", scale=0.1) for kind in KINDS)
        return normed(y, weight, bias, 1e-6)

    y = conv(w, f"{name}.conv1", norm("norm1", x), 2 * c, bias=True)
    y = conv(w, f"{name}.conv2", y, 2 * c, 3, bias=True, groups=2 * c)
    y = y[:, :c] * y[:, c:]
    y = conv(w, f"{name}.conv3", y * conv(w, f"{name}.sca.1", y.mean((2, 3), keepdim=True), c, bias=True), c, bias=True)
    x = x + y * w.draw(f"{name}.beta", 1, c, 1, 1, scale=0.5)
    y = conv(w, f"{name}.conv4", norm("norm2", x), 2 * c, bias=True)
    return x + conv(w, f"{name}.conv5", y[:, :c] * y[:, c:], c, bias=True) * w.draw(
        f"{name}.gamma", 1, c, 1, 1, scale=0.5
    )


KINDS = ("weight", "bias")


def restormer_block(w, name, x, heads):
    c = x.shape[1]
    hidden = int(c * 2.66)
    for norm in ("norm1", "norm2"):
        for kind in KINDS:
            w.draw(f"{name}.{norm}.body.{kind}", c, around=kind == "weight", scale=0.1)
    w.draw(f"{name}.attn.temperature", heads, 1, 1, around=1, scale=0.1)
    shapes = {"attn.qkv": (3 * c, c, 1), "attn.qkv_dwconv": (3 * c, 1, 3), "attn.project_out": (c, c, 1)}
    shapes |= {
        "ffn.project_in": (2 * hidden, c, 1),
        "ffn.dwconv": (2 * hidden, 1, 3),
        "ffn.project_out": (c, hidden, 1),
    }
    for part, (out, inside, size) in shapes.items():
        w.draw(f"{name}.{part}.weight", out, inside, size, size)
    x = x + core.attend(w, f"{name}.attn", core.normalise(w, f"{name}.norm1", x), heads)
    return x + core.feed(w, f"{name}.ffn", core.normalise(w, f"{name}.norm2", x))


# ---------------------------------------------------------------------------------------------------------------- U-Net


def unet(w, image, *, kind, width, encoder_width, depth=(1, 2, 1, 2), heads=(1, 2, 1, 2)):
    """ConStyle-NAFNet, -Restormer or -Conv; ``depth`` and ``heads`` for levels 1 to 3 and the bottom."""
    maps, code = encode(w, image, encoder_width)
    active = (lambda name, x: F.leaky_relu(x, 0.1)) if kind == "nafnet" else (lambda name, x: prelu(w, name, x))

    def stack(name, x, level):
        if kind == "conv":
            y = x
            for index in (0, 1):
                y = prelu(w, f"{name}.{index}.1", conv(w, f"{name}.{index}.0", y, x.shape[1], 3))
            return x + y
        block = naf_block if kind == "nafnet" else restormer_block
        for index in range(depth[level]):
            x = block(w, f"{name}.{index}", x, heads[level])
        return x

    stem = {"nafnet": "Preprocess_Module.0", "conv": "Preprocess_Module.0", "restormer": "Preprocess_Module.proj"}[kind]
    x = conv(w, stem, image, width, 3)
    x = prelu(w, "Preprocess_Module.1", x) if kind == "conv" else x
    skips = []
    for level in (1, 2, 3):
        skips.append(stack(f"Process_Module_l{level}", x, level - 1))
        x = F.pixel_unshuffle(conv(w, f"DC{level}.down.0", skips[-1], level * width // 4, 3), 2)
        at = f"AffineTransform{level - 1}"
        x = torch.cat([x, active(f"{at}.1", conv(w, f"{at}.0", maps[level - 1], width))], 1)
    x = bottom(w, stack("Process_Module_bottom", x, 3), code, width)
    for level in (3, 2, 1):
        x = F.pixel_shuffle(conv(w, f"UC{level}.up.0", x, 4 * x.shape[1], 3), 2)
        x = conv(w, f"UC{level}.down", torch.cat([x, skips[level - 1]], 1), (level + 1) * width)
        x = stack(f"Process_Module_r{level}", x, level - 1)
    if kind == "conv":
        x = prelu(w, "Finetune_Module.0.1", conv(w, "Finetune_Module.0.0", x, width, 3))
        return image + prelu(w, "Finetune_Module.1.1", conv(w, "Finetune_Module.1.0", x, 3, 3))
    if kind == "restormer":
        x = restormer_block(w, "Finetune_Module.1", restormer_block(w, "Finetune_Module.0", x, heads[0]), heads[0])
    return image + conv(w, f"Finetune_Module.{2 if kind == 'restormer' else 0}", x, 3, 3)


def bottom(w, x, code, width):
    scale = linear(w, "mlp.0", code, 4 * width, bias=True)[:, :, None, None]
    return conv(w, "local_fusion", torch.cat([x, x * scale], 1), 3 * width)
