"""The simulated PLC's tags of the sequence profile: a ring of triggers, a ring of results."""

from __future__ import annotations

from typing import Any

from controller.sim.plc_image import PartId, TriggerBlock, ring_slot
from controller.sim.plc_line import PlcOutputs
from controller.sim.plc_tags import (
    EMPTY,
    DeclaredTag,
    OnAck,
    OnResult,
    PlcTags,
    TagKind,
    declare,
    result_tags,
    single_tags,
)

_TRIGGER_WORDS = ["Seq", "TrigClockMs", "RecipeId", "Check", "EncoderPos"]


def declared_tags(depth: int, part_ids: TagKind) -> list[DeclaredTag]:
    """Every tag of the profile, for rings of this depth. part_ids: WORD or TEXT."""
    read_only = single_tags(["SessionAck", "TriggerSeq", "ResultAckSeq"], [], written_by_station=False)
    writable = single_tags(["Depth", "TriggerAckSeq"], [], written_by_station=True)
    for slot in range(depth):
        read_only[f"Trigger[{slot}].PartId"] = part_ids
        read_only.update({f"Trigger[{slot}].{name}": TagKind.WORD for name in _TRIGGER_WORDS})
        writable.update(result_tags(f"Result[{slot}]", "ResultSeq", part_ids))
    return declare(read_only, writable)


class SequenceTags(PlcTags):
    """on_result: called within the write of a ResultSeq. on_ack: within that of TriggerAckSeq."""

    def __init__(
        self, depth: int, part_ids: TagKind, on_result: OnResult, on_ack: OnAck = lambda _seq, _session: None
    ) -> None:
        blocks = [list(result_tags(f"Result[{slot}]", "ResultSeq", part_ids)) for slot in range(depth)]
        super().__init__(declared_tags(depth, part_ids), blocks, on_result, on_ack)
        self._depth = depth
        self._slots = {f"Result[{slot}].ResultSeq": slot for slot in range(depth)}

    def written(self, name: str) -> None:
        """The station wrote a tag."""
        if name in self._slots:
            self._on_result(self.copy_result(self._slots[name]))
        elif name == "TriggerAckSeq":
            self._on_ack(self._cells[name].get(), self._cells["SessionId"].get())

    def _image_of_profile(self) -> dict[str, Any]:
        results = [self.copy_result(slot) for slot in range(self._depth) if self._results[slot][0].get()]
        return {"depth": self._cells["Depth"].get(), "results": results}

    def write_slot(self, block: TriggerBlock, check: int) -> None:
        """Write a trigger's slot; its TriggerSeq comes afterwards, on its own."""
        slot = f"Trigger[{ring_slot(block.seq, self._depth)}]."
        values: dict[str, PartId] = {
            "Seq": block.seq,
            "PartId": block.part_id,
            "TrigClockMs": block.trig_clock_ms,
            "RecipeId": block.recipe_id,
            "EncoderPos": block.encoder_pos,
            "Check": check,
        }
        for name, value in values.items():
            self._cells[slot + name].set(value)

    def write_trigger_seq(self, seq: int) -> None:
        """Write TriggerSeq: this is the trigger."""
        self._cells["TriggerSeq"].set(seq)

    def clear_rings(self) -> None:
        """Empty both rings."""
        for tag in self.declared:
            if tag.name.startswith(("Trigger[", "Result[")):
                self._cells[tag.name].set(EMPTY[tag.kind])

    def write_outputs(self, outputs: PlcOutputs) -> None:
        """Write every single tag of a scan but the clock and TriggerSeq."""
        self._cells["SessionAck"].set(outputs.session_ack)
        self._cells["ResultAckSeq"].set(outputs.result_ack_seq)
        super().write_outputs(outputs)
