"""People and model judging the same parts: kappa, and the attribute study of AIAG's Measurement Systems Analysis.

Cohen (1960) for two judges, Fleiss (1971) for several; effectiveness, miss rate and false-alarm rate with their limits
after MSA, 4th edition, chapter III C.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from models.lifecycle.validate.intervals import Rate


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge said of one part, the nth time that it was shown. defective: the judge would reject it."""

    image: str
    judge: str
    repeat: int
    defective: bool


@dataclass(frozen=True, slots=True)
class Appraisal:
    """One judge in the attribute study.

    repeatability: parts judged alike each time. effectiveness: parts judged rightly each time. misses: of all looks at
    defective parts, passed. false_alarms: of all looks at good parts, rejected. kappa: against the truth, all looks.
    """

    judge: str
    repeatability: Rate
    effectiveness: Rate
    misses: Rate
    false_alarms: Rate
    kappa: float

    @property
    def grade(self) -> str:
        """As MSA grades it: the worst of the three decides."""
        limits = (
            (1 - self.effectiveness.value, 0.10, 0.20),
            (self.misses.value, 0.02, 0.05),
            (self.false_alarms.value, 0.05, 0.10),
        )
        counted = [(value, good, marginal) for value, good, marginal in limits if not math.isnan(value)]
        if any(not value <= marginal + 1e-12 for value, _, marginal in counted):
            return "unacceptable"
        return "marginal" if any(not value <= good + 1e-12 for value, good, _ in counted) else "acceptable"


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Agreement of two judges beyond chance, -1 to 1. NaN where both always say the same one thing, or nothing."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} judgements against {len(other)}: both must judge the same parts")
    if not one:
        return math.nan
    seen = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    first, second = Counter(one), Counter(other)
    chance = sum(first[value] * second[value] for value in first) / len(one) ** 2
    return (seen - chance) / (1 - chance) if chance < 1 else math.nan


def fleiss_kappa(counts: Sequence[Mapping[Hashable, int]]) -> float:
    """Agreement of several judges. counts: for each part how often each answer was given, the same number in all.

    Raises ValueError for parts that were judged a different number of times, or once.
    """
    totals = {sum(part.values()) for part in counts}
    if len(totals) != 1 or min(totals) < 2:
        raise ValueError(f"parts were judged {sorted(totals)} times: all must be judged equally often, at least twice")
    times = totals.pop()
    share: Counter[Hashable] = Counter()
    for part in counts:
        share.update(part)
    within = [(sum(n * n for n in part.values()) - times) / (times * (times - 1)) for part in counts]
    chance = sum((n / (times * len(counts))) ** 2 for n in share.values())
    return (sum(within) / len(within) - chance) / (1 - chance) if chance < 1 else math.nan


def appraise(judgements: Sequence[Judgement], truth: Mapping[str, bool]) -> tuple[Appraisal, ...]:
    """Every judge against the truth (image to defective), in order of name. Raises KeyError for an unknown part."""
    by_judge: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for said in judgements:
        by_judge[said.judge][said.image].append(said.defective)
    return tuple(_appraisal(judge, by_judge[judge], truth) for judge in sorted(by_judge))


def _appraisal(judge: str, parts: Mapping[str, Sequence[bool]], truth: Mapping[str, bool]) -> Appraisal:
    looks = [(truth[image], said) for image, answers in parts.items() for said in answers]
    bad, good = [said for real, said in looks if real], [said for real, said in looks if not real]
    return Appraisal(
        judge,
        repeatability=Rate(sum(len(set(answers)) == 1 for answers in parts.values()), len(parts)),
        effectiveness=Rate(sum(set(answers) == {truth[image]} for image, answers in parts.items()), len(parts)),
        misses=Rate(sum(not said for said in bad), len(bad)),
        false_alarms=Rate(sum(good), len(good)),
        kappa=cohen_kappa([real for real, _ in looks], [said for _, said in looks]),
    )


def between_judges(judgements: Sequence[Judgement]) -> float:
    """Fleiss' kappa of all judges' looks at the parts that all saw equally often. NaN where there are none."""
    counts: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for said in judgements:
        counts[said.image][said.defective] += 1
    most = max((sum(part.values()) for part in counts.values()), default=0)
    whole = [part for part in counts.values() if sum(part.values()) == most]
    return fleiss_kappa(whole) if most > 1 else math.nan
