"""A small fully convolutional net that says for every cell of a picture which defect it belongs to, if any.

Plain convolutions with ReLU only: they gain the most from INT8 on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STRIDE = 4
"""Pixels of the input per cell of the output, each way."""

REACH = 8
"""Input sizes must be multiples of this."""


class SegmentNet(nn.Module):
    """Grey picture in, class logits out: (N, 1, H, W) to (N, classes, H / STRIDE, W / STRIDE). Class 0: background."""

    def __init__(self, classes: int, narrow: int = 16, wide: int = 32) -> None:
        super().__init__()
        self.stem = _layer(1, narrow, kernel=6, stride=4, padding=1)
        self.down = _layer(narrow, wide, stride=2)
        self.deep = nn.Sequential(_layer(wide, wide), _layer(wide, wide, dilation=2), _layer(wide, wide, dilation=2))
        self.narrowed = nn.Sequential(nn.Conv2d(wide, narrow, 1, bias=False), nn.BatchNorm2d(narrow))
        self.head = _layer(narrow, narrow)
        self.classify = nn.Conv2d(narrow, classes, 1)

    def forward(self, picture: Tensor) -> Tensor:
        near = self.stem(picture)
        deep = nn.functional.interpolate(self.narrowed(self.deep(self.down(near))), scale_factor=2.0, mode="nearest")
        return self.classify(self.head(torch.relu(near + deep)))


class Probabilities(nn.Module):
    """The net as it is shipped: softmax at the end, so that its output is (N, classes, h, w) from 0 to 1."""

    def __init__(self, net: SegmentNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        return torch.softmax(self.net(picture), dim=1)


def _layer(
    inside: int, outside: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, padding: int | None = None
) -> nn.Sequential:
    pad = dilation * (kernel // 2) if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, pad, dilation, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )
