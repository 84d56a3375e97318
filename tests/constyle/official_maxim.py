"""The authors' ConStyle-MAXIM once more, naively; see ``official``."""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F

spec = importlib.util.spec_from_file_location("constyle_official", Path(__file__).with_name("official.py"))
official = importlib.util.module_from_spec(spec)
spec.loader.exec_module(official)
bottom, conv, encode, normed = official.bottom, official.conv, official.encode, official.normed


def norm(w, name, x):
    gamma = w.draw(f"{name}.gamma", x.shape[1], around=1, scale=0.1)
    return normed(x, gamma, w.draw(f"{name}.beta", x.shape[1], scale=0.1), 1e-6)


def dense(w, name, x, out):
    """A dense layer over channels, stored as a matrix."""
    return torch.einsum("oi,bihw->bohw", w.draw(f"{name}.weight", out, x.shape[1]), x)


def mixed(w, name, x, size, *, grid, bias):
    """Positions of a window, or pixels at one place of all cells of the grid, through one matrix."""
    matrix = w.draw(f"{name}.weight", size**2, size**2)
    shift = w.draw(f"{name}.bias", size**2, scale=0.1) if bias else torch.zeros(size**2)
    rows, columns = x.shape[2] // size, x.shape[3] // size
    y = torch.empty_like(x)
    for row in range(rows):
        for column in range(columns):
            own = (slice(row, None, rows), slice(column, None, columns)) if grid else window(row, column, size)
            values = x[:, :, own[0], own[1]].flatten(2)
            y[:, :, own[0], own[1]] = (values @ matrix.T + shift).view(*x.shape[:2], size, size)
    return y


def window(row, column, size):
    return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)


def gated_mlp(w, name, x, size, *, unit, grid):
    c = x.shape[1]
    y = F.gelu(dense(w, f"{name}.in_project", norm(w, f"{name}.LayerNorm", x), 2 * c))
    gate = norm(w, f"{name}.{unit}.intermediate_layernorm", y[:, c:])
    y = y[:, :c] * (mixed(w, f"{name}.{unit}.Dense_0", gate, size, grid=grid, bias=True) + 1)
    return x + dense(w, f"{name}.out_project", y, c)


def axes(w, name, x, size):
    c = x.shape[1]
    y = F.gelu(dense(w, f"{name}.in_project", norm(w, f"{name}.LayerNorm_in", x), 2 * c))
    first = gated_mlp(w, f"{name}.GridGmlpLayer", y[:, :c], size, unit="GridGatingUnit", grid=True)
    second = gated_mlp(w, f"{name}.BlockGmlpLayer", y[:, c:], size, unit="BlockGatingUnit", grid=False)
    return x + dense(w, f"{name}.out_project", torch.cat([first, second], 1), c)


def attended(w, name, x, *, bias):
    c = x.shape[1]
    y = F.relu(conv(w, f"{name}.Conv_0", x.mean((2, 3), keepdim=True), c // 4, bias=bias))
    return x * torch.sigmoid(conv(w, f"{name}.Conv_1", y, c, bias=bias))


def stack(w, name, x, size):
    y = x
    for index in (0, 1):
        y = axes(w, f"{name}.SplitHeadMultiAxisGmlpLayer_{index}", y, size)
        at = f"{name}.channel_attention_block_1{index}"
        z = conv(w, f"{at}.conv1", norm(w, f"{at}.LayerNorm", y), x.shape[1], 3)
        z = conv(w, f"{at}.conv2", F.leaky_relu(z, 0.2), x.shape[1], 3)
        y = y + attended(w, f"{at}.channel_attention", z, bias=True)
    w.draw(f"{name}.cross_gating_block.Conv_0.weight", x.shape[1], x.shape[1], 1, 1)  # made and never called
    return x + y


def bottleneck(w, name, x, size):
    x = conv(w, f"{name}.input_proj", x, x.shape[1], bias=True)
    y = x
    for index in (0, 1):
        y = axes(w, f"{name}.SplitHeadMultiAxisGmlpLayer_{index}", y, size)
        at = f"{name}.channel_attention_block_1_{index}"
        z = F.gelu(dense(w, f"{at}.channel_mixing.Dense_0", norm(w, f"{at}.LayerNorm", y), x.shape[1]))
        z = dense(w, f"{at}.channel_mixing.Dense_1", z, x.shape[1])
        y = y + attended(w, f"{at}.channel_attention", z, bias=False)
    return x + y


def cross_gate(w, name, signal, guide, size):
    c = guide.shape[1] if name.endswith(("0", "1")) else guide.shape[1] // 3
    kernel = w.draw(f"{name}.ConvTranspose_0.weight", guide.shape[1], c, 2, 2)
    x, y = (
        conv(w, f"{name}.Conv_0", signal, c),
        conv(w, f"{name}.Conv_1", F.conv_transpose2d(guide, kernel, stride=2), c),
    )
    features, gates = {}, {}
    for which, values in (("x", x), ("y", y)):
        z = F.gelu(dense(w, f"{name}.in_project_{which}", norm(w, f"{name}.LayerNorm_{which}", values), c))
        at = f"{name}.SplitHeadMultiAxisGating_{which}"
        u = F.gelu(dense(w, f"{at}.in_project", norm(w, f"{at}.LayerNorm_in", z), 2 * c))
        first = mixed(w, f"{at}.Dense_0", u[:, :c], size, grid=True, bias=False)
        second = mixed(w, f"{at}.Dense_1", u[:, c:], size, grid=False, bias=False)
        features[which], gates[which] = z, dense(w, f"{at}.out_project", torch.cat([first, second], 1), c)
    y = y + dense(w, f"{name}.out_project_y", features["y"] * gates["x"], c)
    return x + y + dense(w, f"{name}.out_project_x", features["x"] * gates["y"], c), y


def sized(x, like):
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", antialias=True)


def maxim(w, image, *, width, encoder_width, windows):
    maps, code = encode(w, image, encoder_width)
    x, encoded = None, []
    for level in (0, 1, 2):
        stride = 2**level
        seen = image[:, :, stride // 2 :: stride, stride // 2 :: stride]  # nearest: the centre, rounded up
        stem = conv(w, f"stage_input_conv_{level}", seen, width, 3)
        x = stem if x is None else x
        x = conv(w, f"Process_Module_l{level + 1}.Conv_0", torch.cat([x, stem], 1), (level + 1) * width)
        encoded.append(stack(w, f"Process_Module_l{level + 1}", x, windows[level]))
        down = F.pixel_unshuffle(conv(w, f"DC{level + 1}.down.0", encoded[-1], encoded[-1].shape[1] // 4, 3), 2)
        style = F.leaky_relu(conv(w, f"AffineTransform{level}.0", maps[level], width), 0.1)
        x = torch.cat([down, style], 1)
    for index in (0, 1):
        x = bottleneck(w, f"Process_Module_bottom.{index}", x, windows[3])
    x = guide = bottom(w, x, code, width)
    gated = {}
    for level in (2, 1, 0):
        parts = [sized(encoded[0], encoded[level])]
        for source in (1, 2):
            name = f"UpSampleRatio_{3 * (2 - level) + source}.Conv_0"
            parts.append(conv(w, name, sized(encoded[source], encoded[level]), width))
        gated[level], guide = cross_gate(w, f"cross_gating_block_{level}", torch.cat(parts, 1), guide, windows[level])
    for level in (2, 1, 0):
        skips = [sized(gated[source], gated[level]) for source in (2, 1, 0)]
        x = F.pixel_shuffle(conv(w, f"UC{level + 1}.up.0", x, 4 * x.shape[1], 3), 2)
        at = f"Process_Module_r{level + 1}.UNetEncoderBlock_0"
        x = conv(w, f"{at}.Conv_0", torch.cat([x, *skips], 1), max(level + 1, 2) * width)
        x = stack(w, at, x, windows[level])
    return image + conv(w, "Finetune_Module.0", x, 3, 3)
