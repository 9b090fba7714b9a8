"""What people set on the simulated PLC: Enable, mode ceiling, recipe, fault reset. Pure."""

from __future__ import annotations

from controller.sim.plc_image import ModeWord, StationImage, next_seq

_LOADED = 1
_REFUSED = 2


class PlcSwitches:
    """The operator's side of the PLC program. Set the wishes at any time; the next scan puts them into the tags.

    enable_low_ms: Enable stays 0 at least this long, so that a polling station cannot miss it.
    """

    def __init__(self, recipe_id: int, mode_ceiling: ModeWord, enable_low_ms: int) -> None:
        self.recipe_id = recipe_id
        self.mode_ceiling = mode_ceiling
        self.enable = True
        self.enable_fell = False
        self.fault_reset = False
        self.recipe_request = recipe_id
        self.recipe_request_seq = 0
        self._enable_wish = True
        self._enable_low_ms = enable_low_ms
        self._fell_at_ms = 0
        self._reset_wish_ms = 0
        self._reset_until_ms: int | None = None
        self._recipe_scans_left = 0
        self._recipe_pending = False

    def wish_enable(self, on: bool) -> None:
        """Ask for Enable; a 1 is granted only once Ready is 0."""
        self._enable_wish = on

    def pulse_fault_reset(self, for_ms: int) -> None:
        """Raise FaultReset for this long."""
        self._reset_wish_ms = for_ms

    def request_recipe(self, recipe_id: int) -> None:
        """Ask the station for another product. Triggers name the present one until the station has loaded the new."""
        self.recipe_request = recipe_id
        self._recipe_scans_left = 2
        self._recipe_pending = False

    def scan(self, image: StationImage, alive: bool, now_ms: int) -> None:
        """Take the wishes over into the tags, in the order that the contract asks."""
        self._scan_enable(image.ready and alive, now_ms)
        self._scan_fault_reset(now_ms)
        self._scan_recipe(image)

    def _scan_enable(self, ready: bool, now_ms: int) -> None:
        self.enable_fell = False
        if self.enable and not self._enable_wish:
            self.enable, self.enable_fell, self._fell_at_ms = False, True, now_ms
        elif not self.enable and self._enable_wish and not ready:
            self.enable = now_ms - self._fell_at_ms >= self._enable_low_ms

    def _scan_fault_reset(self, now_ms: int) -> None:
        if self._reset_wish_ms:
            self.fault_reset, self._reset_until_ms = True, now_ms + self._reset_wish_ms
            self._reset_wish_ms = 0
        elif self._reset_until_ms is not None and now_ms >= self._reset_until_ms:
            self.fault_reset, self._reset_until_ms = False, None

    def _scan_recipe(self, image: StationImage) -> None:
        if self._recipe_pending and image.recipe_ack_seq == self.recipe_request_seq:
            if image.recipe_status == _LOADED:
                self.recipe_id = self.recipe_request
            self._recipe_pending = image.recipe_status not in (_LOADED, _REFUSED)
        # Two scans: RecipeRequest must be in its tag before the number that announces it changes.
        if self._recipe_scans_left:
            self._recipe_scans_left -= 1
            if not self._recipe_scans_left:
                self.recipe_request_seq = next_seq(self.recipe_request_seq)
                self._recipe_pending = True
