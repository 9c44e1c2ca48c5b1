"""SwinIR: forward and backward ÷ a straightforward version of the same network, on the same weights and batch.

    .venv/bin/python tools/bench/bench_swinir.py           # the generators of two recipes and the seed's two presets: three minutes
    .venv/bin/python tools/bench/bench_swinir.py --bf16    # as a CPU with AMX trains
    .venv/bin/python tools/bench/bench_swinir.py --flush   # denormals taken for 0: what is left is how it is computed

The straightforward version is what one writes from the paper: maps in NCHW, windows cut and joined around each attention,
relative places and shift masks worked out in each call, attention as matrix products and a softmax. Both give the same
picture, which is checked first. Half of the gain or more comes from what masked cells get: the published -100 leaves
denormal probabilities, nn/windows.py's number leaves none. One thread, CPU time, in turns; the median turn counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from glyphyard.nn.swinir import ResidualSwinBlock, SwinIR, SwinLayer, WindowAttention
from glyphyard.nn.windows import SHIFTED
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.restorer import RestorerConfig
from glyphyard.recipe.super_resolution import SwinIRConfig
from glyphyard.training.precision import autocast

TURNS, WANTED = 9, 1.3
# The generator of recipes/tiny/lpsr_progressive.yaml, without its pyramid: both ways would share that.
TINY = {"embed_dim": 8, "rstb": 1, "blocks": 2, "heads": 2, "window": 8, "mlp_ratio": 2.0, "features": 8, "pyramid": None}
HEIGHT, WIDTH = 16, 48


def places(side: int) -> Tensor:
    """Return the relative places of a window's cells, (M,M)."""
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
    relative = (grid[:, :, None] - grid[:, None, :]).permute(1, 2, 0).contiguous()
    relative = relative + side - 1
    return relative[..., 0] * (2 * side - 1) + relative[..., 1]


def mask_of(height: int, width: int, side: int, shift: int) -> Tensor:
    """Return the mask of shifted windows, (G,M,M), by numbering the nine regions of the image."""
    regions = torch.zeros(1, height, width, 1)
    number = 0
    stretches = (slice(0, -side), slice(-side, -shift), slice(-shift, None))
    for rows in stretches:
        for columns in stretches:
            regions[:, rows, columns, :] = number
            number += 1
    windows = cut(regions, side).squeeze(-1)
    difference = windows[:, None, :] - windows[:, :, None]
    return torch.zeros_like(difference).masked_fill(difference != 0, -100.0)


def cut(x: Tensor, side: int) -> Tensor:
    """Cut (B,H,W,C) into windows (B·G, M, C)."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // side, side, width // side, side, channels)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, side * side, channels)


def join(windows: Tensor, side: int, height: int, width: int) -> Tensor:
    """Put windows (B·G, M, C) together to (B,H,W,C)."""
    batch = windows.shape[0] // (height * width // side // side)
    x = windows.view(batch, height // side, width // side, side, side, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(batch, height, width, -1)


def attention(module: WindowAttention, x: Tensor, side: int, mask: Tensor | None) -> Tensor:
    """Return window attention of (B·G, M, C)."""
    count, cells, channels = x.shape
    heads = module.heads
    qkv = module.projections(x).reshape(count, cells, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    queries, keys, values = qkv[0] * (channels // heads) ** -0.5, qkv[1], qkv[2]
    scores = queries @ keys.transpose(-2, -1)
    bias = module.bias[places(side).view(-1)].view(cells, cells, heads).permute(2, 0, 1).contiguous()
    scores = scores + bias.unsqueeze(0)
    if mask is not None:
        windows = mask.shape[0]
        scores = scores.view(count // windows, windows, heads, cells, cells) + mask.unsqueeze(1).unsqueeze(0)
        scores = scores.view(-1, heads, cells, cells)
    found = (scores.softmax(-1) @ values).transpose(1, 2).reshape(count, cells, channels)
    return module.mix(found)


def layer(module: SwinLayer, x: Tensor) -> Tensor:
    """Return a Swin layer of (B,H,W,C)."""
    height, width, side = x.shape[1], x.shape[2], module.side
    shift = side // 2 if module.order == SHIFTED else 0
    y = module.norm1(x)
    if shift:
        y = torch.roll(y, (-shift, -shift), (1, 2))
    mask = mask_of(height, width, side, shift) if shift else None
    y = join(attention(module.attention, cut(y, side), side, mask), side, height, width)
    if shift:
        y = torch.roll(y, (shift, shift), (1, 2))
    x = x + y
    return x + module.mlp(module.norm2(x))


def block(module: ResidualSwinBlock, x: Tensor) -> Tensor:
    """Return a residual Swin block of (B,H,W,C)."""
    y = x
    for each in module.layers:
        y = layer(each, y)
    return x + module.convolution(y.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1).contiguous()


def straightforward(model: SwinIR, images: Tensor) -> Tensor:
    """Return what `model(images)` does, computed the plain way."""
    height, width, side = images.shape[2], images.shape[3], model.side
    x = functional.pad(images - 0.5, (0, -width % side, 0, -height % side), mode="reflect")
    shallow = model.shallow(x)
    deep = model.norm_in(shallow.permute(0, 2, 3, 1).contiguous())
    for each in model.blocks:
        deep = block(each, deep)
    features = model.deep(model.norm_out(deep).permute(0, 3, 1, 2).contiguous()) + shallow
    if model.pyramid is not None:
        features = model.pyramid(features)
    drawn = model.last(model.doublings(model.narrow(features)))[:, :, : height * model.scale, : width * model.scale]
    return drawn + model.enlarged(images)


def measure(
    config: SwinIRConfig, name: str, batch: int, turns: int = TURNS, bf16: bool = False, say: Callable[[str], None] = print
) -> float:
    """Return how many times faster ours is."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = SwinIR(config, 1, HEIGHT, WIDTH).train()
    torch.nn.init.normal_(model.last.weight, std=0.02)
    images = torch.rand(batch, 1, HEIGHT, WIDTH)
    ways: dict[str, Callable[[], Tensor]] = {"ours": lambda: model(images), "plain": lambda: straightforward(model, images)}
    torch.testing.assert_close(ways["ours"](), ways["plain"](), atol=1e-4, rtol=1e-4)
    device = torch.device("cpu")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(turns + 1):
        for way, forward in ways.items():
            started = time.process_time()
            model.zero_grad(set_to_none=True)
            with autocast(bf16, device):
                made = forward()
            made.float().square().mean().backward()
            seconds[way].append(time.process_time() - started)
    ours, plain = (statistics.median(times[1:]) for times in seconds.values())
    say(
        f"swinir {name}, batch {batch}{', bf16' if bf16 else ''}: plain {plain * 1e3:.0f} ms ÷ ours {ours * 1e3:.0f} ms = {plain / ours:.2f} (wanted: {WANTED})"
    )
    return plain / ours


if __name__ == "__main__":
    in_bf16 = "--bf16" in sys.argv[1:]
    if "--flush" in sys.argv[1:]:
        torch.set_flush_denormal(True)
    measure(SwinIRConfig.model_validate(TINY), "tiny", 32, bf16=in_bf16)
    ours = load_recipe(Path("recipes/lpsr_us_plates.yaml")).model
    assert isinstance(ours, RestorerConfig)
    measure(ours.generator, "lpsr_us_plates", 16, turns=5, bf16=in_bf16)
    measure(SwinIRConfig.model_validate({"preset": "lightweight"}), "lightweight", 4, turns=3, bf16=in_bf16)
    for batch, turns in ((2, 9), (8, 5)):  # it lies at its bound: three turns said 1.16 and 1.32 within two minutes
        measure(SwinIRConfig(), "max", batch, turns=turns, bf16=in_bf16)
