"""What good parts look like, from good parts alone: fitted on the very features that the INT8 backbone gives.

Two judges look at the same features. The Gaussian knows how far a place is from anything good. The spot head has seen
defects that were drawn on good parts (synthetic.py). Neither has seen a real defect. Quantising a finished anomaly
model destroys it, so the backbone is quantised first and both are fitted on what it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.lifecycle.augment import Augmentation, vary
from models.lifecycle.backbone import CHANNELS as CHANNELS
from models.lifecycle.backbone import STRIDE, normalised
from models.lifecycle.synthetic import Weight, draw_defect

Features = NDArray[np.float32]
"""(channels, h, w) of one picture."""
Progress = Callable[[str], None]

WORST = 0.05
"""Share of the places whose mean is a part's score."""


@dataclass(frozen=True, slots=True)
class AnomalyPlan:
    """How to fit. drawn: pictures with drawn defects. spread: principal axes that the Gaussian keeps."""

    drawn: int = 1000
    epochs: int = 12
    spread: int = 96
    rate: float = 3e-3
    width: int = 48
    seed: int = 1
    threads: int = 2


class Extractor:
    """A backbone graph that gives the features of pictures, as the packaged model will see them."""

    def __init__(self, graph: ov.Model, threads: int = 2) -> None:
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._request: Any = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, picture: NDArray[np.generic]) -> Features:
        self._request.infer([normalised(picture[None]).numpy()])
        return cast(Features, self._request.get_output_tensor(0).data[0].copy())


class Gaussian(nn.Module):
    """Mean squared distance from good features along their principal axes, in standard deviations."""

    def __init__(self, good: NDArray[np.float32], spread: int) -> None:
        """good: (n, channels), features of single places."""
        super().__init__()
        middle = good.mean(0, dtype=np.float64)
        # float64 in numpy: torch's batched inverse hangs on some CPUs, and a covariance loses half of its digits.
        values, axes = np.linalg.eigh(np.cov((good - middle).T.astype(np.float64)))
        keep = np.argsort(values)[::-1][:spread]
        whiten = (axes[:, keep] / np.sqrt(values[keep] + 1e-3 * values.mean())).T
        self.project = nn.Conv2d(good.shape[1], len(keep), 1)
        self.project.weight = nn.Parameter(torch.tensor(whiten[:, :, None, None], dtype=torch.float32))
        self.project.bias = nn.Parameter(torch.tensor(-whiten @ middle, dtype=torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        return torch.sqrt(self.project(features).square().mean(1, keepdim=True) + 1e-6)


class SpotHead(nn.Module):
    """Logit of every place: does it show a defect?"""

    def __init__(self, good: NDArray[np.float32], width: int) -> None:
        super().__init__()
        channels = good.shape[1]
        self.register_buffer("middle", torch.tensor(good.mean(0)[None, :, None, None]))
        self.register_buffer("scale", torch.tensor(1 / (good.std(0) + 1e-3)[None, :, None, None]))
        self.narrow = nn.Conv2d(channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.spot = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        seen = (features - cast(Tensor, self.middle)) * cast(Tensor, self.scale)
        return self.spot(torch.relu(self.mix(torch.relu(self.narrow(seen)))))


class AnomalyHead(nn.Module):
    """Both judges, each on the scale of good parts, added and smoothed: map (1, 1, h, w) and score (1, 1)."""

    def __init__(self, gaussian: Gaussian, spots: SpotHead, worst: int) -> None:
        """worst: how many places' mean is the score; one loud place does not condemn a part."""
        super().__init__()
        self.gaussian, self.spots, self.worst = gaussian, spots, worst
        self.offsets, self.scales = torch.zeros(2), torch.ones(2)

    def each(self, features: Tensor) -> Tensor:
        """(N, 2, h, w): what the Gaussian and the spot head say, smoothed."""
        both = torch.cat([self.gaussian(features), self.spots(features)], 1)
        return nn.functional.avg_pool2d(both, 3, stride=1, padding=1, count_include_pad=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        scaled = (self.each(features) - self.offsets[None, :, None, None]) * self.scales[None, :, None, None]
        heat = scaled.mean(1, keepdim=True)
        score = torch.topk(heat.flatten(1), self.worst, 1).values.mean(1, keepdim=True)
        return heat, score


def fit(
    extract: Extractor,
    good: Sequence[NDArray[np.uint8]],
    held: Sequence[NDArray[np.uint8]],
    plan: AnomalyPlan,
    progress: Progress,
) -> AnomalyHead:
    """Fit both judges on features of good pictures; bring them to one scale on held-out good ones.

    All pictures are squares of one size. The same plan and pictures give the same head on the same machine.
    """
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    rng = np.random.default_rng(plan.seed)
    places = _places([extract(picture) for picture in good], rng)
    gaussian, spots = Gaussian(places, plan.spread), SpotHead(places, plan.width)
    progress(f"Gaussian of {len(places)} places on {len(good)} good pictures")
    _teach(spots, _drawn(extract, good, plan, rng, progress), plan, progress)
    cells = (good[0].shape[0] // STRIDE) * (good[0].shape[1] // STRIDE)
    head = AnomalyHead(gaussian, spots, max(1, round(WORST * cells))).eval()
    for parameter in head.parameters():
        parameter.requires_grad_(False)
    _same_scale(head, [extract(picture) for picture in held])
    return head


def _places(features: Sequence[Features], rng: np.random.Generator, most: int = 60_000) -> NDArray[np.float32]:
    share = max(1, most // len(features))
    return np.concatenate([rng.permutation(f.reshape(f.shape[0], -1).T)[:share] for f in features]).astype(np.float32)


def _drawn(
    extract: Extractor,
    good: Sequence[NDArray[np.uint8]],
    plan: AnomalyPlan,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Features of varied good pictures, three in four with drawn defects, and the share of defect in each cell."""
    features: list[NDArray[np.float16]] = []
    cells: list[NDArray[np.float32]] = []
    for number in range(plan.drawn):
        one, two = (vary(good[int(i)], None, rng, _VARIED)[0] for i in rng.integers(len(good), size=2))
        where: Weight = np.zeros(one.shape[:2], np.float32)
        if number % 4:
            one, where = draw_defect(one, two, rng)
        features.append(extract(np.clip(one, 0, 255).round()).astype(np.float16))
        height, width = one.shape[:2]
        cells.append(where.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).mean((1, 3)))
        if (number + 1) % max(1, plan.drawn // 5) == 0:
            progress(f"drawn {number + 1} of {plan.drawn} pictures")
    return np.stack(features), np.stack(cells)


_VARIED = Augmentation(turn_degrees=4, shift=0.03, zoom=(0.95, 1.05), flip=True)


def _teach(
    spots: SpotHead, drawn: tuple[NDArray[np.float16], NDArray[np.float32]], plan: AnomalyPlan, progress: Progress
) -> None:
    optimiser = torch.optim.AdamW(spots.parameters(), lr=plan.rate, weight_decay=1e-2)
    features, cells = drawn
    batches = list(_batches(len(features), plan))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=len(batches), pct_start=0.2)
    losses: list[float] = []
    for chosen in batches:
        logits = cast(Tensor, spots(torch.from_numpy(features[chosen].astype(np.float32))))[:, 0]
        share = torch.from_numpy(cells[chosen])
        target = (share > COVERED).float()
        asked = (target + (share < CLEAR).float()) * (1 + 3 * target)
        each = nn.functional.binary_cross_entropy_with_logits(logits, target, weight=asked)
        worst = nn.functional.avg_pool2d(logits[:, None], 3, 1, 1, count_include_pad=False).flatten(1).amax(1)
        loss = 4 * each + nn.functional.binary_cross_entropy_with_logits(worst, target.flatten(1).amax(1))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    tenth = len(losses) // 10 + 1
    progress(f"spot head: loss {np.mean(losses[:tenth]):.3f} to {np.mean(losses[-tenth:]):.3f}")


COVERED, CLEAR = 0.10, 0.01
"""A cell with more than the first share of defect is one; between the two shares it is not asked."""


def _batches(count: int, plan: AnomalyPlan, most: int = 16) -> Iterator[NDArray[np.int64]]:
    rng, size = np.random.default_rng(plan.seed), min(most, count)
    for _ in range(plan.epochs):
        order = rng.permutation(count)
        yield from (order[start : start + size] for start in range(0, count - size + 1, size))


def _same_scale(head: AnomalyHead, held: Sequence[Features]) -> None:
    """The worst place of a typical good part at 0, and a standard deviation of it at 1, for either judge."""
    with torch.inference_mode():
        peaks = torch.stack([head.each(torch.from_numpy(f[None])).amax((2, 3))[0] for f in held]).double()
    head.offsets = peaks.median(0).values.float()
    head.scales = (1 / (peaks.std(0) + 1e-6)).float()
