"""The small compiler: what it takes means what IEC 61131-3 says, and what it does not know it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plc_blocks.compiler import Dialect, Standard, compiled
from tests.plc_blocks.machine import PlcFault
from tests.plc_blocks.source import StError

_TYPES = """
TYPE Cell : STRUCT Number : DINT; Flag : BOOL; END_STRUCT; END_TYPE
TYPE Row : STRUCT Cells : ARRAY [2..4] OF Cell; Total : DINT; END_STRUCT; END_TYPE
TYPE Name : DINT; END_TYPE
"""


def function(body: str, result: str = "DINT") -> Any:
    """A function of two numbers A and B with this body; it sets F."""
    code = f"FUNCTION F : {result}\nVAR_INPUT A : DINT; B : DINT; END_VAR\nVAR K : DINT; END_VAR\n{body}\nEND_FUNCTION"
    return compiled([_TYPES, code])["F"]


@pytest.mark.parametrize(
    ("body", "a", "b", "value"),
    [
        ("F := A + B * 2 - 1;", 3, 4, 10),
        ("F := (A + B) * 2;", 3, 4, 14),
        ("F := A / B;", 7, 2, 3),
        ("F := A MOD B;", 7, 4, 3),
        ("F := -A;", 7, 0, -7),
        ("F := 16#FF;", 0, 0, 255),
        ("IF A > B THEN F := 1; ELSIF A = B THEN F := 2; ELSE F := 3; END_IF;", 5, 5, 2),
        ("IF NOT (A <> B) OR FALSE AND TRUE THEN F := 1; END_IF;", 5, 6, 0),
        ("FOR K := A TO B DO F := F + K; END_FOR;", 1, 4, 10),
        ("FOR K := A TO B DO F := F + K; END_FOR;", 4, 1, 0),
        ("WHILE F < A DO F := F + B; END_WHILE;", 5, 2, 6),
        ("FOR K := 0 TO 9 DO IF K = A THEN EXIT; END_IF; F := K; END_FOR;", 4, 0, 3),
    ],
)
def test_statements_and_operators(body: str, a: int, b: int, value: int) -> None:
    assert function(body)(a, b) == value


@pytest.mark.parametrize(
    ("body", "a", "b"),
    [
        ("F := A + B;", 2**31 - 1, 1),
        ("F := A - B;", -(2**31), 1),
        ("F := A * B;", 2**20, 2**20),
        ("F := -A;", -(2**31), 0),
        ("F := A MOD B;", -1, 8),
        ("F := A / B;", -8, 8),
        ("F := A / B;", 8, 0),
    ],
)
def test_what_some_controller_would_take_ill_is_a_fault(body: str, a: int, b: int) -> None:
    with pytest.raises(PlcFault):
        function(body)(a, b)


@pytest.mark.parametrize(
    "body",
    [
        "F := A > B;",
        "F := A AND B;",
        "IF A THEN F := 1; END_IF;",
        "F := TRUE;",
        "F := Unknown;",
        "A := B;",
        "F := A ** B;",
        "F := 1.5;",
        "RETURN;",
        "REPEAT F := 1; UNTIL TRUE END_REPEAT;",
        "F := G(A := A);",
        "F(A := A, B := B);",
        "F := F(B := A, A := B);",
        "F := F(A, B);",
        "CPS(A, B, 1);",
        "F := K.Number;",
        "F := K[1];",
        "F := 4294967296;",
    ],
)
def test_what_is_ill_typed_or_outside_the_subset_is_refused(body: str) -> None:
    with pytest.raises((StError, PlcFault)):
        function(body)


@pytest.mark.parametrize("code", ["TYPE Cell : DINT; END_TYPE", "FUNCTION F DINT", "TYPE X : Nothing; END_TYPE\n" * 2])
def test_a_file_that_does_not_hold_together_is_refused(code: str) -> None:
    with pytest.raises(StError):
        compiled([_TYPES, code])


def test_structures_are_copied_arrays_have_bounds_and_in_outs_are_the_same_thing() -> None:
    names = compiled(
        [
            _TYPES,
            """
            FUNCTION Fill : DINT
            VAR_INPUT Place : Name; END_VAR
            VAR_IN_OUT Into : Row; END_VAR
            VAR Copy : Cell; END_VAR
            Into.Cells[Place].Number := 5;
            Copy := Into.Cells[Place];
            Into.Cells[Place].Number := 6;
            Into.Total := Copy.Number;
            Fill := 1;
            END_FUNCTION
            """,
        ]
    )
    row = names["Row"]()
    assert names["Fill"](4, row) == 1
    assert row.values()["Total"] == 5
    assert [cell["Number"] for cell in row.values()["Cells"]] == [0, 0, 6]
    for outside in (1, 5):
        with pytest.raises(PlcFault):
            names["Fill"](outside, row)


_COUNTER = """
FUNCTION_BLOCK Counter
VAR_INPUT Step : DINT; END_VAR
VAR_OUTPUT Total : DINT; END_VAR
VAR RETAIN Kept : DINT := 7; END_VAR
Total := Total + Step;
END_FUNCTION_BLOCK
"""


def test_instances_keep_their_memory_and_know_what_is_retained() -> None:
    names = compiled(
        [
            _COUNTER,
            """
            PROGRAM Main
            VAR One : Counter; Two : Counter; Sum : DINT; Milliseconds : DINT; END_VAR
            One(Step := 2);
            Two(Step := One.Total);
            Sum := One.Total + Two.Total;
            Milliseconds := TIME_TO_DINT(TIME());
            END_PROGRAM
            """,
        ],
        standard={"TIME": Standard((), "TIME", lambda: 42), "TIME_TO_DINT": Standard(("TIME",), "DINT", int)},
    )
    main = names["Main"]()
    main.scan()
    main.scan()
    assert (main.One.Total, main.Two.Total, main.Sum, main.Milliseconds) == (4, 6, 10, 42)
    assert names["Counter"].retained == ("Kept",) and names["Counter"]().Kept == 7
    with pytest.raises(AttributeError):
        main.Three = 3


def test_a_logix_routine_calls_with_instance_and_operands_in_order() -> None:
    routine = """
    PROGRAM Main
    VAR One : Counter; Sum : DINT; Flag : BOOL; A : Counter; END_VAR
    Counter(One, 3, Sum);
    Flag := 1;
    END_PROGRAM
    """
    main = compiled([_COUNTER, routine], Dialect.LOGIX)["Main"]()
    main.scan()
    assert (main.Sum, main.Flag) == (3, True)


@pytest.mark.parametrize(
    "statement",
    ["Counter(One);", "Counter(One, 1 + 2);", "Counter(Sum, 1);", "One(Step := 1);", "Flag := TRUE;", "Flag := 2;"],
)
def test_what_logix_does_not_take_is_refused(statement: str) -> None:
    routine = f"PROGRAM Main\nVAR One : Counter; Sum : DINT; Flag : BOOL; END_VAR\n{statement}\nEND_PROGRAM"
    with pytest.raises(StError):
        compiled([_COUNTER, routine], Dialect.LOGIX)
