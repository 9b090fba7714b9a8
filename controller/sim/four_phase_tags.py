"""The simulated PLC's tags of the four-phase profile: one trigger and one result."""

from __future__ import annotations

from typing import Any

from controller.sim.plc_image import TriggerBlock
from controller.sim.plc_line import PlcOutputs
from controller.sim.plc_tags import OnAck, OnResult, PlcTags, TagKind, declare, result_tags, single_tags

_PLC_WORDS = ["TriggerId", "TrigClockMs", "RecipeId", "EncoderPos"]
_PLC_BITS = ["Trigger", "ResultAck"]
_STATION_BITS = ["TriggerAck", "Busy", "ResultValid", "ResultToggle", "MissedTrigger"]


class FourPhaseTags(PlcTags):
    """on_result: called within the write of ResultValid 1. on_ack: within that of TriggerAck 1, with TriggerIdAck."""

    def __init__(self, part_ids: TagKind, on_result: OnResult, on_ack: OnAck = lambda _seq, _session: None) -> None:
        result = result_tags("Result", "TriggerId", part_ids)
        read_only = {**single_tags(_PLC_WORDS, _PLC_BITS, written_by_station=False), "PartId": part_ids}
        writable = {**single_tags(["TriggerIdAck"], _STATION_BITS, written_by_station=True), **result}
        super().__init__(declare(read_only, writable), [list(result)], on_result, on_ack)

    def written(self, name: str) -> None:
        """The station wrote a tag."""
        cell = self._cells
        if name == "ResultValid" and cell[name].get():
            self._on_result(self.copy_result(0))
        elif name == "TriggerAck" and cell[name].get():
            self._on_ack(cell["TriggerIdAck"].get(), cell["SessionId"].get())

    def _image_of_profile(self) -> dict[str, Any]:
        cell = self._cells
        valid = bool(cell["ResultValid"].get())
        return {
            "results": [self.copy_result(0)] if valid else [],
            "trigger_id_ack": cell["TriggerIdAck"].get(),
            "trigger_ack": bool(cell["TriggerAck"].get()),
            "result_valid": valid,
        }

    def write_slot(self, block: TriggerBlock, check: int) -> None:
        """Write a trigger's fields; TriggerId and then Trigger come afterwards. There is no check word."""
        cell = self._cells
        cell["PartId"].set(block.part_id)
        cell["TrigClockMs"].set(block.trig_clock_ms)
        cell["RecipeId"].set(block.recipe_id)
        cell["EncoderPos"].set(block.encoder_pos)

    def write_trigger_seq(self, seq: int) -> None:
        """Write TriggerId; Trigger itself is one of the scan's outputs."""
        self._cells["TriggerId"].set(seq)

    def clear_rings(self) -> None:
        """There are none."""

    def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write every tag of a scan but the clock, the trigger's fields and TriggerId."""
        super().write_outputs(outputs)
        self._cells["ResultAck"].set(outputs.result_ack)
        self._cells["Trigger"].set(outputs.trigger)
