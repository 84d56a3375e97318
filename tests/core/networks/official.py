"""The official networks once more, naively: straight from a state dict in the authors' layout, functions only.

Independent of restorekit: written from the papers' figures and the names in the authors' checkpoints.
"""

import torch
import torch.nn.functional as F

# ------------------------------------------------------------------------------------------------------------- NAFNet


def nafnet_state(width=4, encoder=(1, 2), middle=1, decoder=(2, 1), planes=3):
    """Random tensors under the official names; decoders are listed from the coarsest level."""
    state = {}

    def conv(name, out, inside, size, bias=True):
        state[f"{name}.weight"] = torch.randn(out, inside, size, size) / (inside * size * size) ** 0.5
        if bias:
            state[f"{name}.bias"] = torch.randn(out) * 0.1

    def block(name, c):
        for key in ("beta", "gamma"):
            state[f"{name}.{key}"] = torch.randn(1, c, 1, 1) * 0.5
        for key in ("norm1", "norm2"):
            state[f"{name}.{key}.weight"] = torch.rand(c) + 0.5
            state[f"{name}.{key}.bias"] = torch.randn(c) * 0.1
        conv(f"{name}.conv1", 2 * c, c, 1)
        conv(f"{name}.conv2", 2 * c, 1, 3)
        conv(f"{name}.conv3", c, c, 1)
        conv(f"{name}.sca.1", c, c, 1)
        conv(f"{name}.conv4", 2 * c, c, 1)
        conv(f"{name}.conv5", c, c, 1)

    levels = len(encoder)
    conv("intro", width, planes, 3)
    conv("ending", planes, width, 3)
    for level in range(levels):
        for index in range(encoder[level]):
            block(f"encoders.{level}.{index}", width * 2**level)
        conv(f"downs.{level}", width * 2 ** (level + 1), width * 2**level, 2)
        coarse = width * 2 ** (levels - level)
        conv(f"ups.{level}.0", 2 * coarse, coarse, 1, bias=False)
        for index in range(decoder[level]):
            block(f"decoders.{level}.{index}", coarse // 2)
    for index in range(middle):
        block(f"middle_blks.{index}", width * 2**levels)
    return state


def nafnet_forward(state, image, encoder, middle, decoder):
    def conv(name, x, **options):
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)

    def norm(name, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        y = (x - mean) / (variance + 1e-6).sqrt()
        return y * state[f"{name}.weight"].view(1, -1, 1, 1) + state[f"{name}.bias"].view(1, -1, 1, 1)

    def block(name, x):
        c = x.shape[1]
        y = conv(f"{name}.conv1", norm(f"{name}.norm1", x))
        y = conv(f"{name}.conv2", y, padding=1, groups=2 * c)
        y = y[:, :c] * y[:, c:]
        y = y * conv(f"{name}.sca.1", F.adaptive_avg_pool2d(y, 1))
        x = x + conv(f"{name}.conv3", y) * state[f"{name}.beta"]
        y = conv(f"{name}.conv4", norm(f"{name}.norm2", x))
        return x + conv(f"{name}.conv5", y[:, :c] * y[:, c:]) * state[f"{name}.gamma"]

    x, skips = conv("intro", image, padding=1), []
    for level, count in enumerate(encoder):
        for index in range(count):
            x = block(f"encoders.{level}.{index}", x)
        skips.append(x)
        x = conv(f"downs.{level}", x, stride=2)
    for index in range(middle):
        x = block(f"middle_blks.{index}", x)
    for level, count in enumerate(decoder):
        x = F.pixel_shuffle(conv(f"ups.{level}.0", x), 2) + skips[-1 - level]
        for index in range(count):
            x = block(f"decoders.{level}.{index}", x)
    return conv("ending", x, padding=1) + image


# ---------------------------------------------------------------------------------------------------------- Restormer

BLOCKS = {"encoder_level1": 0, "encoder_level2": 1, "encoder_level3": 2, "latent": 3}
DECODERS = {"decoder_level3": 2, "decoder_level2": 1, "decoder_level1": 0}


def restormer_state(
    width=6, counts=(1, 2, 1, 2), heads=(1, 2, 3, 4), *, refinement=1, norm_bias=True, dual=False, planes=3
):
    """Random tensors under the official names; ``dual``: six planes in, three out, and the skip convolution."""
    state = {}

    def conv(name, out, inside, size):
        state[f"{name}.weight"] = torch.randn(out, inside, size, size) / (inside * size * size) ** 0.5

    def stack(name, count, c, h):
        for index in range(count):
            at, hidden = f"{name}.{index}", int(c * 2.66)
            for norm in ("norm1", "norm2"):
                state[f"{at}.{norm}.body.weight"] = torch.rand(c) + 0.5
                if norm_bias:
                    state[f"{at}.{norm}.body.bias"] = torch.randn(c) * 0.1
            state[f"{at}.attn.temperature"] = torch.rand(h, 1, 1) + 0.5
            conv(f"{at}.attn.qkv", 3 * c, c, 1)
            conv(f"{at}.attn.qkv_dwconv", 3 * c, 1, 3)
            conv(f"{at}.attn.project_out", c, c, 1)
            conv(f"{at}.ffn.project_in", 2 * hidden, c, 1)
            conv(f"{at}.ffn.dwconv", 2 * hidden, 1, 3)
            conv(f"{at}.ffn.project_out", c, hidden, 1)

    for name, level in BLOCKS.items():
        stack(name, counts[level], width * 2**level, heads[level])
    for name, level in DECODERS.items():
        stack(name, counts[level], width * 2 ** max(level, 1), heads[level])
    stack("refinement", refinement, 2 * width, heads[0])
    conv("patch_embed.proj", width, 6 if dual else planes, 3)
    for level in (1, 2, 3):
        fine, coarse = width * 2 ** (level - 1), width * 2**level
        conv(f"down{level}_{level + 1}.body.0", fine // 2, fine, 3)
        conv(f"up{level + 1}_{level}.body.0", 2 * coarse, coarse, 3)
    conv("reduce_chan_level3", 4 * width, 8 * width, 1)
    conv("reduce_chan_level2", 2 * width, 4 * width, 1)
    conv("output", planes, 2 * width, 3)
    if dual:
        conv("skip_conv", 2 * width, width, 1)
    return state


def convolve(state, name, x, **options):
    return F.conv2d(x, state[f"{name}.weight"], **options)


def normalise(state, name, x):
    mean = x.mean(1, keepdim=True)
    deviation = ((x - mean).square().mean(1, keepdim=True) + 1e-5).sqrt()
    weight = state[f"{name}.body.weight"].view(1, -1, 1, 1)
    if f"{name}.body.bias" not in state:
        return x / deviation * weight
    return (x - mean) / deviation * weight + state[f"{name}.body.bias"].view(1, -1, 1, 1)


def attend(state, name, x, h):
    b, c, height, width = x.shape
    y = convolve(state, f"{name}.qkv_dwconv", convolve(state, f"{name}.qkv", x), padding=1, groups=3 * c)
    heads_out = []
    for head in range(h):
        one = slice(head * c // h, (head + 1) * c // h)
        q, k, v = (part[:, one].flatten(2) for part in y.split(c, 1))
        q, k = q / q.norm(dim=2, keepdim=True), k / k.norm(dim=2, keepdim=True)
        weights = (torch.einsum("bin,bjn->bij", q, k) * state[f"{name}.temperature"][head, 0, 0]).softmax(2)
        heads_out.append(torch.einsum("bij,bjn->bin", weights, v))
    return convolve(state, f"{name}.project_out", torch.cat(heads_out, 1).view(b, c, height, width))


def feed(state, name, x):
    y = convolve(state, f"{name}.project_in", x)
    y = convolve(state, f"{name}.dwconv", y, padding=1, groups=y.shape[1])
    first, second = y.split(y.shape[1] // 2, 1)
    return convolve(state, f"{name}.project_out", 0.5 * first * (1 + torch.erf(first / 2**0.5)) * second)


def restormer_forward(state, image, counts, heads, refinement=1):
    def stack(name, level, x, count=None):
        for index in range(count or counts[level]):
            at = f"{name}.{index}"
            x = x + attend(state, f"{at}.attn", normalise(state, f"{at}.norm1", x), heads[level])
            x = x + feed(state, f"{at}.ffn", normalise(state, f"{at}.norm2", x))
        return x

    def down(name, x):
        return F.pixel_unshuffle(convolve(state, f"{name}.body.0", x, padding=1), 2)

    def up(name, x, skip):
        return torch.cat([F.pixel_shuffle(convolve(state, f"{name}.body.0", x, padding=1), 2), skip], 1)

    stem = convolve(state, "patch_embed.proj", image, padding=1)
    one = stack("encoder_level1", 0, stem)
    two = stack("encoder_level2", 1, down("down1_2", one))
    three = stack("encoder_level3", 2, down("down2_3", two))
    x = stack("latent", 3, down("down3_4", three))
    x = stack("decoder_level3", 2, convolve(state, "reduce_chan_level3", up("up4_3", x, three)))
    x = stack("decoder_level2", 1, convolve(state, "reduce_chan_level2", up("up3_2", x, two)))
    x = stack("decoder_level1", 0, up("up2_1", x, one))
    x = stack("refinement", 0, x, refinement)
    if "skip_conv.weight" in state:
        return convolve(state, "output", x + convolve(state, "skip_conv", stem), padding=1)
    return convolve(state, "output", x, padding=1) + image
