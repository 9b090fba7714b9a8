"""What is wrong with a data set, said so that its owner can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from models.errors import ModelError

SHOWN = 20
"""Complaints that one error shows in full."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong. where: row, line, key or object within the file. grave: work cannot go on with it."""

    file: str
    where: str
    value: object
    cure: str
    grave: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.where} = {self.value!r}: {self.cure}"


class DatasetError(ModelError):
    """A data set is not what it must be. Carries every complaint, the first one's fields also by themselves."""

    def __init__(self, first: Complaint, *more: Complaint) -> None:
        self.complaints = (first, *more)
        lines = [str(complaint) for complaint in self.complaints[:SHOWN]]
        left = len(self.complaints) - len(lines)
        super().__init__("\n".join([*lines, f"and {left} more of this kind"] if left else lines))
        self.file, self.where, self.value, self.cure = first.file, first.where, first.value, first.cure


def raise_grave(complaints: Iterable[Complaint]) -> None:
    """Raises DatasetError with all grave complaints, where there are any."""
    grave = [complaint for complaint in complaints if complaint.grave]
    if grave:
        raise DatasetError(*grave)
