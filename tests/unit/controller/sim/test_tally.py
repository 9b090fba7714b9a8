"""The PLC's own tally."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from controller.sim.gate import Passage, Source
from controller.sim.plc_image import GateAction, PartId, ResultBlock, TriggerBlock, result_check
from controller.sim.tally import LatencyMs, PartTally, Tally, TallySummary, Truth, percentiles, truth_of

MS = 1_000_000
GATE_NS = 400 * MS
EPOCH, SESSION = 3, 77


def trigger(tally: Tally, seq: int, part_id: PartId, at_ms: float = 0) -> None:
    tally.triggered(TriggerBlock(seq, part_id, 0, 1, 0, 0), SESSION, EPOCH, round(at_ms * MS))


def block(seq: int, part_id: PartId, **changed: object) -> ResultBlock:
    made = ResultBlock(seq, part_id, EPOCH, SESSION, action=1, verdict=1, mode=3)
    made = replace(made, **changed)  # type: ignore[arg-type]
    return made if "check" in changed else replace(made, check=result_check(made))


def passed(tally: Tally, seq: int, part_id: PartId, action: GateAction, source: Source = Source.ANSWER) -> None:
    tally.gate_passed(Passage(part_id, seq, action, source), EPOCH)


def zeros(figures: TallySummary) -> tuple[int, int, int, int]:
    return figures.missing, figures.duplicate, figures.wrong_part, figures.late_acted


def test_good_answers_give_an_exact_tally() -> None:
    tally = Tally(GATE_NS)
    for seq in range(1, 101):
        trigger(tally, seq, seq, seq * 100)
        tally.result_written(block(seq, seq), round((seq * 100 + seq / 10) * MS))
        passed(tally, seq, seq, GateAction.PASS)
    figures = tally.summary()
    assert (figures.triggers, figures.answered, figures.waiting) == (100, 100, 0)
    assert zeros(figures) == (0, 0, 0, 0)
    assert figures.verdicts == {"OK": 100}
    assert figures.reasons == {0: 100}
    assert figures.outcomes == {"PASS": 100}
    assert figures.latency_ms == LatencyMs(p50=5.0, p99=9.9, p999=10.0, max=10.0)


def test_a_part_is_waiting_up_to_the_gate_and_missing_behind_it() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    assert (tally.summary().waiting, tally.summary().missing) == (1, 0)
    passed(tally, 1, "a", GateAction.REJECT, Source.FALLBACK)
    assert (tally.summary().waiting, tally.summary().missing) == (0, 1)


def test_a_different_second_block_is_a_duplicate_and_an_identical_one_a_retry() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    for written in (block(1, "a"), block(1, "a"), block(1, "a", verdict=2, action=3)):
        tally.result_written(written, MS)
    figures = tally.summary()
    assert (figures.answered, figures.retries, figures.duplicate) == (1, 1, 1)
    assert (tally.parts[0].answers, tally.parts[0].verdict) == (2, 1)


def test_a_replay_in_another_session_is_a_duplicate() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    tally.result_written(block(1, "a"), MS)
    tally.result_written(block(1, "a", session_id=SESSION + 1), MS)
    assert tally.summary().duplicate == 1


def test_an_answer_with_another_parts_id_is_wrong_and_no_answer() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    tally.result_written(block(1, "b"), MS)
    passed(tally, 1, "a", GateAction.REJECT, Source.FALLBACK)
    figures = tally.summary()
    assert (figures.wrong_part, figures.answered, figures.missing) == (1, 0, 1)


def test_torn_stale_and_unexpected_blocks_are_told_apart() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    tally.result_written(block(1, "a", check=1), MS)
    tally.result_written(block(1, "a", session_id=SESSION - 1), MS)
    tally.result_written(block(1, "a", epoch_echo=EPOCH - 1), MS)
    tally.result_written(block(2, "a"), MS)
    tally.result_written(ResultBlock(), MS)
    figures = tally.summary()
    assert (figures.torn, figures.stale, figures.unexpected, figures.answered) == (1, 1, 2, 0)


def test_an_answer_that_became_whole_after_its_number_counts_from_the_scan_that_took_it() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    tally.result_written(block(1, "a", check=1), MS)
    tally.latched(block(1, "a"), 7 * MS)
    tally.latched(block(1, "a"), 9 * MS)
    assert tally.summary().answered == 1
    assert tally.parts[0].answered_ns == 7 * MS


def test_a_late_answer_counts_as_acted_on_only_if_the_gate_followed_it() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    trigger(tally, 2, "b")
    passed(tally, 1, "a", GateAction.REJECT, Source.FALLBACK)
    tally.result_written(block(1, "a"), GATE_NS + 2 * MS)
    tally.result_written(block(2, "b"), GATE_NS + 2 * MS)
    passed(tally, 2, "b", GateAction.PASS, Source.ANSWER)
    figures = tally.summary()
    assert (figures.late, figures.late_acted, figures.answered, figures.missing) == (2, 1, 2, 0)
    assert [part.late_acted for part in tally.parts] == [False, True]


def test_a_promised_time_shorter_than_the_way_to_the_gate_is_held_too() -> None:
    tally = Tally(GATE_NS, 100 * MS)
    trigger(tally, 1, "a")
    tally.result_written(block(1, "a"), 150 * MS)
    passed(tally, 1, "a", GateAction.PASS)
    assert tally.summary().late_acted == 1


def test_equal_numbers_of_two_plc_runs_are_two_parts() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "old")
    tally.triggered(TriggerBlock(1, "new", 0, 1, 0, 0), SESSION + 1, EPOCH + 1, 0)
    tally.result_written(block(1, "old"), MS)
    tally.result_written(block(1, "new", epoch_echo=EPOCH + 1, session_id=SESSION + 1), MS)
    figures = tally.summary()
    assert (figures.answered, figures.duplicate, figures.wrong_part) == (2, 0, 0)


def test_untriggered_parts_have_a_reason_and_an_outcome_and_are_no_triggers() -> None:
    tally = Tally(GATE_NS)
    tally.untriggered("a", "not ready", 0)
    passed(tally, 0, "a", GateAction.REJECT, Source.FALLBACK)
    figures = tally.summary()
    assert (figures.triggers, figures.untriggered, figures.outcomes) == (0, {"not ready": 1}, {"REJECT": 1})


def test_images_of_other_parts_add_to_wrong_part() -> None:
    tally = Tally(GATE_NS)
    assert tally.add_image_check([(1, 1), (2, 3), (4, None)]) == 1
    assert tally.summary().wrong_part == 1


def test_the_truth_goes_by_what_the_gate_did() -> None:
    def part(part_id: int, outcome: int | None) -> PartTally:
        return PartTally(part_id, part_id, 1, 1, 0, outcome=outcome)

    parts = [part(1, 3), part(2, 2), part(3, 4), part(4, 1), part(5, 0), part(6, 1), part(7, 3), part(8, None)]
    defective: dict[PartId, bool] = {number: number <= 5 for number in range(1, 9)}
    assert truth_of(parts, defective) == Truth(defective_rejected=3, defective_passed=2, good_rejected=1, good_passed=1)


def test_percentiles_are_of_nearest_rank() -> None:
    assert percentiles([round(ms * MS) for ms in (4, 1, 3, 2)]) == LatencyMs(2.0, 4.0, 4.0, 4.0)
    assert percentiles([]) == LatencyMs(0.0, 0.0, 0.0, 0.0)


def test_the_summary_survives_json() -> None:
    tally = Tally(GATE_NS)
    trigger(tally, 1, "a")
    tally.result_written(block(1, "a"), MS)
    figures = tally.summary()
    assert msgspec.json.decode(msgspec.json.encode(figures), type=TallySummary) == figures
