"""The authors' network once more, naively: straight from a state dict in their layout, functions only.

Independent of restorekit: written from the specification and the names in the authors' checkpoints. The refinement in
it is ``Released``, which other tests use too, under the names that it has in a checkpoint.
"""

import cv2
import torch
import torch.nn.functional as F

THEIRS = {
    "enc1": "r1",
    "in1": "r1norm",
    "enc2": "r2",
    "in2": "r2norm",
    "enc3": "r22",
    "pos_m1": "mapp_position1",
    "pos_m2": "mapp_position2",
    "pos_c1": "mapp_position11",
    "pos_c2": "mapp_position22",
    "map_m1": "mapp_space1",
    "map_m2": "mapp_space2",
    "map_c1": "mapp_space11",
    "map_c2": "mapp_space22",
    "range1": "r1_mask",
    "range2": "r2_mask",
    "short1": "resnet.conv1",
    "short2": "resnet.conv2",
    "channel1": "mapping11",
    "channel2": "mapping12",
    "kernel1": "mapp11",
    "kernel2": "mapp12",
    "spatial": "mapp1",
    "fuse": "refine11",
    "dec1": "r1_decoder",
    "dec2": "r2_decoder",
    "dec3": "conv_last2",
    "dec4": "conv_last3",
}
BLOCK = {
    "norm1": "norm1.body",
    "qkv": "attn.qkv",
    "qkv_depthwise": "attn.qkv_dwconv",
    "out": "attn.project_out",
    "norm2": "norm2.body",
    "up": "ffn.project_in",
    "up_depthwise": "ffn.dwconv",
    "down": "ffn.project_out",
}


def module_in_their_names(released):
    """The state dict of a ``Released`` as it stands in a checkpoint."""
    found = {}
    for name, weight in released.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer.startswith("long."):
            index, _, inner = layer.removeprefix("long.").partition(".")
            theirs = f"transformer.{index}.{BLOCK[inner] if inner else 'attn'}"
        else:
            theirs = THEIRS[layer]
        found[f"refinement11.{theirs}.{kind}"] = weight
    return found


class Weights(dict):
    """A state dict that draws what is missing, so that a first forward pass writes the checkpoint that it needs."""

    def draw(self, name, *shape, around=0.0):
        if name not in self:
            fan_in = max(torch.Size(shape[1:]).numel(), 1)
            self[name] = around + torch.randn(shape) * (fan_in**-0.5 if len(shape) > 1 else 0.2)
        return self[name]


def conv(w, name, x, out, stride=1):
    weight, bias = w.draw(f"{name}.weight", out, x.shape[1], 3, 3), w.draw(f"{name}.bias", out)
    return F.conv2d(x, weight, bias, stride=stride, padding=1)


def trunk(w, name, x, blocks):
    for index in range(blocks):
        hidden = F.relu(conv(w, f"{name}.{index}.conv1", x, x.shape[1]))
        x = x + conv(w, f"{name}.{index}.conv2", hidden, x.shape[1])
    return x


def linear(w, name, x, out, *, bias=False):
    weight = w.draw(f"{name}.weight", out, x.shape[-1])
    return F.linear(x, weight, w.draw(f"{name}.bias", out) if bias else None)


def norm(w, name, x):
    weight, bias = w.draw(f"{name}.weight", x.shape[-1], around=1.0), w.draw(f"{name}.bias", x.shape[-1])
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps=1e-6)


def layer(w, name, x, trusted, head_width):
    """Attention of eight heads, then two dense layers; (1, tokens, features)."""
    at, heads = f"{name}.slf_attn", 8
    y = norm(w, f"{at}.layer_norm", x)
    q, k, v = (
        linear(w, f"{at}.w_{letter}s", y, heads * head_width).reshape(1, -1, heads, head_width).transpose(1, 2)
        for letter in "qkv"
    )
    scores = (q @ k.transpose(2, 3) / head_width**0.5).masked_fill(~trusted[:, None, None], -1e9)
    x = x + linear(w, f"{at}.fc", (scores.softmax(-1) @ v).transpose(1, 2).flatten(2), x.shape[-1])
    at = f"{name}.pos_ffn"
    hidden = linear(w, f"{at}.w_1", norm(w, f"{at}.layer_norm", x), 2 * x.shape[-1], bias=True)
    return x + linear(w, f"{at}.w_2", F.relu(hidden), x.shape[-1], bias=True)


def snr(image):
    """Of one image, with OpenCV's blur."""
    photo = image[0].permute(1, 2, 0).numpy()
    luma = [torch.from_numpy(p) @ torch.tensor([0.299, 0.587, 0.114]) for p in (photo, cv2.blur(photo, (5, 5)))]
    ratio = luma[1] / ((luma[0] - luma[1]).abs() + 1e-4)
    return (ratio / (ratio.max() + 1e-4)).clamp(0, 1)[None, None]


def snr_aware(w, image, *, width=2, layers=2, blocks=(1, 2, 1), head_width=3):
    """SNR-Aware on one image of (1, 3, height, width)."""

    def lrelu(x):
        return F.leaky_relu(x, 0.1)

    full = lrelu(conv(w, "conv_first_1", image, width))
    half = lrelu(conv(w, "conv_first_2", full, width, stride=2))
    quarter = lrelu(conv(w, "conv_first_3", half, width, stride=2))
    features = trunk(w, "feature_extraction", quarter, blocks[0])
    near = trunk(w, "recon_trunk_light", features, blocks[1])
    mask = F.interpolate(snr(image), size=features.shape[2:], mode="nearest")
    tokens = F.unfold(features, 4, stride=4).transpose(1, 2)
    trusted = F.unfold(mask, 4, stride=4).mean(1) > 0.5
    for index in range(layers):
        tokens = layer(w, f"transformer.layer_stack.{index}", tokens, trusted, head_width)
    far = F.fold(tokens.transpose(1, 2), features.shape[2:], 4, stride=4)
    x = trunk(w, "recon_trunk", far * (1 - mask) + near * mask, blocks[2])
    x = lrelu(F.pixel_shuffle(conv(w, "upconv1", torch.cat([x, quarter], 1), 4 * width), 2))
    x = lrelu(F.pixel_shuffle(conv(w, "upconv2", torch.cat([x, half], 1), 4 * width), 2))
    x = lrelu(conv(w, "HRconv", torch.cat([x, full], 1), width))
    return conv(w, "conv_last", x, 3) + image
