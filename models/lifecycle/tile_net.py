"""A net that marks defects in grey pictures: pretrained features and a small head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.lifecycle.backbone import Backbone


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
