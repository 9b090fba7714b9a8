"""From snapshots to alarm acts: delays and dead bands. Pure; seconds come in."""

from __future__ import annotations

from dataclasses import dataclass

from controller.status.alarms.machine import Act
from controller.status.alarms.table import ALARMS, Alarm, Sight
from controller.status.messages import StationSnapshot


@dataclass(slots=True)
class _Eye:
    """What is known of one alarm's reason. changed_at: since when it differs from `active`; None: it does not."""

    active: bool = False
    changed_at: float | None = None


class Watch:
    """Looks at each snapshot with the eyes of all alarms."""

    def __init__(self, alarms: tuple[Alarm, ...] = ALARMS) -> None:
        self._alarms = alarms
        self._eyes = {alarm.id: _Eye() for alarm in alarms}
        self._before: StationSnapshot | None = None

    def look(self, snapshot: StationSnapshot | None, now: float) -> list[tuple[Alarm, Act, str]]:
        """Which alarms are raised and cleared by this snapshot, with their reasons. None: no snapshot comes any more.

        While nothing comes, only the alarm that says so can be raised or cleared: all else is not known.
        """
        acts: list[tuple[Alarm, Act, str]] = []
        for alarm in self._alarms:
            eye = self._eyes[alarm.id]
            why = alarm.why(Sight(snapshot, self._before, eye.active))
            if snapshot is None and not why:
                continue
            if bool(why) is eye.active:
                eye.changed_at = None
                continue
            if eye.changed_at is None:
                eye.changed_at = now
            if now - eye.changed_at >= (alarm.on_delay_s if why else alarm.off_delay_s):
                eye.active, eye.changed_at = bool(why), None
                acts.append((alarm, Act.RAISE if why else Act.CLEAR, why))
        if snapshot is not None:
            self._before = snapshot
        return acts
