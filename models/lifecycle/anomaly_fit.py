"""What good parts look like, from good parts alone: fitted on the very features that the INT8 backbone gives.

Every place of the picture has statistics of its own, so parts must lie in it alike: a fixture, or a crop about the
part. Quantising a finished anomaly model destroys it, so the backbone is quantised first and the statistics are taken
from what it gives. (The idea of PaDiM, Defard et al. 2021, on few principal axes.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.lifecycle.augment import Augmentation, vary
from models.lifecycle.backbone import DEEP_CHANNELS, normalised
from models.lifecycle.evaluate import auroc

Features = NDArray[np.float16]
"""(channels, h, w) of one picture."""
Progress = Callable[[str], None]

WORST = 0.05
"""Share of the places whose mean is a part's score; one loud place does not condemn a part."""

_VARIED = Augmentation(turn_degrees=2.0, shift=0.01, zoom=(0.98, 1.02), flip=False, gamma=(0.9, 1.1), gain=(0.9, 1.1))
"""How much two good parts may differ in where they lie and how they are lit, where few are known."""


@dataclass(frozen=True, slots=True)
class Look:
    """What of the features is looked at: these channels, along so many principal axes."""

    name: str
    channels: slice
    axes: int


LOOKS = (
    Look("the whole", slice(DEEP_CHANNELS[0], sum(DEEP_CHANNELS)), 24),
    Look("details", slice(0, sum(DEEP_CHANNELS[:2])), 48),
)
"""The first one is taken where no real defects are known to choose by."""
_ENOUGH = 5
"""So many defective and so many good pictures are needed to choose."""


@dataclass(frozen=True, slots=True)
class AnomalyPlan:
    """How to fit. pictures: statistics are taken from so many at least, varied copies of good ones among them.

    looks: what is tried. common: share of what all places have in common in the statistics of each.
    """

    pictures: int = 300
    looks: tuple[Look, ...] = LOOKS
    common: float = 0.3
    floor: float = 0.02
    seed: int = 1
    threads: int = 2


class Extractor:
    """A backbone graph that gives the features of pictures, as the packaged model will see them."""

    def __init__(self, graph: ov.Model, threads: int = 2) -> None:
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._request: Any = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, picture: NDArray[np.generic]) -> Features:
        self._request.infer([normalised(picture[None]).numpy()])
        return cast(Features, self._request.get_output_tensor(0).data[0].astype(np.float16))


class AnomalyHead(nn.Module):
    """Distance of each place from good parts, in standard deviations: map (1, 1, h, w) and score (1, 1).

    axes: (axes, channels), middle: (channels), the principal axes, each scaled to a deviation of 1. means: (places,
    axes); whiten: (places, axes, axes), of each place. Features are smoothed over 3 × 3 places before, distances after.
    """

    def __init__(
        self,
        axes: NDArray[np.float64],
        middle: NDArray[np.float64],
        means: NDArray[np.float64],
        whiten: NDArray[np.float64],
    ) -> None:
        super().__init__()
        self.project = nn.Conv2d(axes.shape[1], axes.shape[0], 1)
        self.project.weight = nn.Parameter(torch.tensor(axes[:, :, None, None], dtype=torch.float32))
        self.project.bias = nn.Parameter(torch.tensor(-axes @ middle, dtype=torch.float32))
        self.register_buffer("whiten", torch.tensor(whiten.transpose(0, 2, 1), dtype=torch.float32))
        offsets = np.einsum("pij,pj->pi", whiten, means)[:, None]
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.float32))
        self.worst = max(1, round(WORST * len(means)))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        seen = _smooth(cast(Tensor, self.project(features)))
        by_place = seen.flatten(2).permute(2, 0, 1)
        far = torch.bmm(by_place, cast(Tensor, self.whiten)) - cast(Tensor, self.offsets)
        distance = torch.sqrt(far.square().mean(2) + 1e-6).permute(1, 0).unflatten(1, (1, *seen.shape[2:]))
        heat = _smooth(distance)
        return heat, torch.topk(heat.flatten(1), self.worst, 1).values.mean(1, keepdim=True)


def fit(
    extract: Extractor,
    good: Sequence[NDArray[np.uint8]],
    held: Sequence[NDArray[np.uint8]],
    defective: NDArray[np.bool_],
    plan: AnomalyPlan,
    progress: Progress,
) -> tuple[AnomalyHead, Look]:
    """Statistics of good pictures, all of one size, and the look that was chosen. The same plan and pictures: the same
    head, on the same machine.

    held, defective: other pictures, and which of them show a defect; they choose among the looks, nothing else.
    """
    torch.set_num_threads(plan.threads)
    rng = np.random.default_rng(plan.seed)
    pictures: list[NDArray[np.generic]] = list(good)
    while len(pictures) < plan.pictures:
        varied, _ = vary(good[len(pictures) % len(good)], None, rng, _VARIED)
        pictures.append(varied.round())
    features: list[Features] = []
    for number, picture in enumerate(pictures, 1):
        features.append(extract(picture))
        if number % max(1, len(pictures) // 5) == 0:
            progress(f"features of {number} of {len(pictures)} pictures, {len(good)} good parts")
    heads = {look.name: _head(features, look, plan, np.random.default_rng(plan.seed)) for look in plan.looks}
    chosen = plan.looks[0]
    if len(plan.looks) > 1:
        name = _choice(heads, [extract(picture) for picture in held], defective, progress)
        chosen = next(look for look in plan.looks if look.name == name)
    return heads[chosen.name], chosen


def _choice(
    heads: dict[str, AnomalyHead], held: Sequence[Features], defective: NDArray[np.bool_], progress: Progress
) -> str:
    first = next(iter(heads))
    if min(defective.sum(), (~defective).sum()) < _ENOUGH:
        progress(f"looks at {first}: too few defects are known to choose by")
        return first
    found: dict[str, float] = {}
    for name, head in heads.items():
        with torch.inference_mode():
            scores = [float(head(torch.from_numpy(one[None].astype(np.float32)))[1]) for one in held]
        found[name] = auroc(np.array(scores), defective)
    best = max(found, key=lambda name: found[name])
    told = ", ".join(f"{name} {share:.3f}" for name, share in found.items())
    progress(f"looks at {best}; image AUROC on validation: {told}")
    return best


def _head(features: Sequence[Features], look: Look, plan: AnomalyPlan, rng: np.random.Generator) -> AnomalyHead:
    some = [one[look.channels] for one in features]
    axes, middle = _principal_axes(some, look.axes, rng)
    means, whiten = _of_each_place(np.stack([_seen(axes, middle, one) for one in some]), plan)
    whole = np.zeros((len(axes), features[0].shape[0]))
    whole[:, look.channels] = axes
    ground = np.zeros(features[0].shape[0])
    ground[look.channels] = middle
    head = AnomalyHead(whole, ground, means, whiten).eval()
    for parameter in head.parameters():
        parameter.requires_grad_(False)
    return head


def _smooth(grid: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(grid, 3, stride=1, padding=1, count_include_pad=False)


def _principal_axes(
    features: Sequence[Features], count: int, rng: np.random.Generator, most: int = 60_000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(axes, channels) and (channels): along each axis good places deviate by about 1 from the middle."""
    share = max(1, most // len(features))
    some = [rng.permutation(one.reshape(one.shape[0], -1).T)[:share] for one in features]
    places = np.concatenate(some).astype(np.float64)
    middle = places.mean(0)
    # In numpy: torch's batched inverse hangs on some CPUs, and float32 loses half of a covariance's digits.
    values, vectors = np.linalg.eigh(np.cov((places - middle).T))
    keep = np.argsort(values)[::-1][:count]
    return (vectors[:, keep] / np.sqrt(values[keep] + 1e-2 * values.mean())).T, middle


def _seen(axes: NDArray[np.float64], middle: NDArray[np.float64], features: Features) -> NDArray[np.float64]:
    """(places, axes): the smoothed features of one picture along the axes."""
    along = np.einsum("ac,chw->ahw", axes, features.astype(np.float64)) - (axes @ middle)[:, None, None]
    return _smooth(torch.from_numpy(along)[None])[0].flatten(1).numpy().T


def _of_each_place(seen: NDArray[np.float64], plan: AnomalyPlan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (places, axes) and whitening (places, axes, axes) of each place, from (pictures, places, axes)."""
    means = seen.mean(0)
    away = (seen - means).transpose(1, 2, 0)
    each = away @ away.transpose(0, 2, 1) / max(1, seen.shape[0] - 1)
    common = each.mean(0)
    floor = plan.floor * np.trace(common) / len(common) * np.eye(len(common))
    return means, np.linalg.inv(np.linalg.cholesky((1 - plan.common) * each + plan.common * common + floor))
