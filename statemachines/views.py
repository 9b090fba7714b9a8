"""The views of a recipe: which camera angle the verdict needs, who stands in for it, and when its frame is exposed.

A frame that Linegate commands is exposed from the part's expected time on, for as long as the part is in view. A frame
that the line itself triggers (`joined`) is exposed around that time, before or after it: it may be in memory before the
PLC's trigger is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

LEAD_NS = 5_000_000
"""A frame that comes so shortly before the deadline is not judged in time: it is waited for no longer, so that the part
can say that it was the camera."""


class ViewPolicy(Enum):
    """What it means for the part when a view gives no usable result."""

    REQUIRED = "required"
    """The part is NO_DECISION, unless another camera stands in."""
    OPTIONAL = "optional"
    """The other views decide."""
    REDUNDANT = "redundant"
    """It only counts where the view that it stands in for has failed."""


@dataclass(frozen=True, slots=True)
class ViewRule:
    """How one view is captured and what it is worth. Times in ns.

    stands_in_for: of a redundant view, the one that it replaces. joined: the line triggers the camera, see
    `frame_join`. delay_ns: from the part's trigger to its exposure. encoder_offset: the same way in counts of the
    encoder; the belt's speed then makes the delay of each part. slack_ns: how far a joined frame's exposure may be from
    its expected time. frame_ns: how long after that its frame must be here; None: until shortly before the deadline.
    """

    name: str
    policy: ViewPolicy = ViewPolicy.REQUIRED
    stands_in_for: str = ""
    joined: bool = False
    delay_ns: int = 0
    encoder_offset: int = 0
    slack_ns: int = 0
    frame_ns: int | None = None

    def exposure(self, triggered_at: int, capture_window_ns: int) -> tuple[int, int]:
        """The first and the last instant at which this view's frame of a part may be exposed."""
        around = triggered_at + self.delay_ns
        if self.joined:
            return around - self.slack_ns, around + self.slack_ns
        return around, around + capture_window_ns

    def frame_by(self, triggered_at: int, deadline: int) -> int:
        """When the frame must be in memory."""
        latest = deadline - min(LEAD_NS, (deadline - triggered_at) // 10)
        return latest if self.frame_ns is None else min(latest, triggered_at + self.delay_ns + self.frame_ns)

    def commanded(self) -> ViewRule:
        """The same view where its pictures come on command, from kept images."""
        return replace(self, joined=False, delay_ns=0, encoder_offset=0, slack_ns=0)


@dataclass(frozen=True, slots=True)
class ViewFailure:
    """Why a view of a part gave nothing. reason: a `Reason` by number, as the vocabulary knows it."""

    view: str
    reason: int
    why: str
