"""The nets of the supervised tasks: pretrained features and a small head each, in plain convolutions with ReLU."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from models.lifecycle.backbone import STRIDE, Backbone

WIDTH = 64


class ClassifyNet(nn.Module):
    """Logits (N, 1 + classes): whether the part is defective at all, then each defect type by itself.

    A defect may be one place or the whole surface: the head sees the features' mean and their maximum.
    """

    def __init__(self, backbone: Backbone, classes: int, width: int = 128) -> None:
        super().__init__()
        self.backbone = backbone
        self.narrow = nn.Conv2d(backbone.channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.drop = nn.Dropout(0.3)
        self.classify = nn.Linear(2 * width, 1 + classes)

    def forward(self, picture: Tensor) -> Tensor:
        seen = torch.relu(self.mix(torch.relu(self.narrow(self.backbone(picture)))))
        # The peak is of a smoothed map, so that one loud place does not condemn a part.
        peak = nn.functional.avg_pool2d(seen, 2).amax((2, 3))
        return self.classify(self.drop(torch.cat([seen.mean((2, 3)), peak], 1)))


class ClassifyOutput(nn.Module):
    """As it is shipped: probabilities (N, 1 + classes), the good class first, each by itself between 0 and 1.

    slope, shift: of the calibration, one each for every logit.
    """

    def __init__(self, net: nn.Module, slope: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("slope", slope)
        self.register_buffer("shift", shift)

    def forward(self, picture: Tensor) -> Tensor:
        chances = torch.sigmoid(self.net(picture) * cast(Tensor, self.slope) + cast(Tensor, self.shift))
        return torch.cat([1 - chances[:, :1], chances[:, 1:]], 1)


class SegmentNetwork(nn.Module):
    """Logits (N, 1 + classes, H / 4, W / 4), background first: coarse features say what it is, fine ones where it ends.

    One term of the map is the same everywhere: it judges the picture as a whole, for defects that are no spot.
    """

    STRIDE = 4

    def __init__(self, backbone: Backbone, classes: int, fine: int = 24, width: int = WIDTH) -> None:
        super().__init__()
        self.backbone = backbone
        self.drop = nn.Dropout2d(0.1)
        self.narrow = nn.Conv2d(backbone.channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.wide = nn.Conv2d(width, width, 3, padding=3, dilation=3)
        self.whole = nn.Linear(width, width)
        self.edges = nn.Conv2d(fine, width, 1)
        self.join = nn.Conv2d(width, width // 2, 3, padding=1)
        self.classify = nn.Conv2d(width // 2, 1 + classes, 1)

    def forward(self, picture: Tensor) -> Tensor:
        fine, middle, coarse = self.backbone.depths(picture)
        seen = torch.relu(self.narrow(self.drop(self.backbone.on_grid(fine, middle, coarse))))
        seen = torch.relu(self.mix(seen))
        seen = torch.relu(self.wide(seen) + self.whole(seen.mean((2, 3)))[:, :, None, None])
        up = nn.functional.interpolate(seen, scale_factor=2.0, mode="nearest")
        return self.classify(torch.relu(self.join(torch.relu(up + self.edges(fine)))))


class SegmentOutput(nn.Module):
    """As it is shipped: softmax at the end."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        return torch.softmax(self.net(picture), dim=1)


class DetectNet(nn.Module):
    """Anchor-free detector on one grid of STRIDE pixels: class logits (N, classes, h, w) and box sides (N, 4, h, w).

    The four sides are distances in pixels from the cell's middle to left, top, right and bottom.
    """

    def __init__(self, backbone: Backbone, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.backbone = backbone
        self.narrow = nn.Conv2d(backbone.channels, width, 1)
        self.context = nn.ModuleList(nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.what = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))
        self.where = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 4, 1))
        last = cast(nn.Conv2d, self.what[-1])
        nn.init.constant_(cast(Tensor, last.bias), -math.log(99))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.relu(self.narrow(self.backbone(picture)))
        for layer in self.context:
            seen = seen + torch.relu(layer(seen))
        sides = torch.exp(self.where(seen).clamp(-4, 5)) * STRIDE
        return self.what(seen), sides


class DetectOutput(nn.Module):
    """As it is shipped, in the layout of YOLOv8: (N, 4 + classes, cells): centre, size in input pixels, scores."""

    def __init__(self, net: DetectNet, slope: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("slope", slope)
        self.register_buffer("shift", shift)

    def forward(self, picture: Tensor) -> Tensor:
        logits, sides = self.net(picture)
        scores = torch.sigmoid(logits * cast(Tensor, self.slope) + cast(Tensor, self.shift))
        left, top, right, bottom = boxes_of(sides).unbind(1)
        boxes = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], 1)
        return torch.cat([boxes, scores], 1).flatten(2)


def boxes_of(sides: Tensor) -> Tensor:
    """(N, 4, h, w) of left, top, right, bottom in input pixels, from the four sides of each cell."""
    height, width = sides.shape[2:]
    x = (torch.arange(width, device=sides.device) + 0.5) * STRIDE
    y = ((torch.arange(height, device=sides.device) + 0.5) * STRIDE)[:, None]
    left, top, right, bottom = sides.unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], 1)
