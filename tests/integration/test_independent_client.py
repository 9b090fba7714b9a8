"""A client that shares no code with the station's library (npm node-opcua) does all that a SCADA integrator does.

`make node-client` installs it into an ignored folder; without it, or without Node, the test says so and is skipped.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from controller.drivers.record.journal import SqliteJournal
from controller.status.access import METHODS
from controller.status.address_space import NODES, node_id
from controller.status.alarms.table import Priority
from controller.status.vision.events import Kind
from controller.status.vision.machine import State
from controller.status.vision.system import AUTOMATIC, NAME, RECIPES, RESULTS, VISION
from tests.integration.status_access import PASSWORD, certificate
from tests.integration.vision_station import VisionStation, serving
from tests.unit.controller.record.facts import outcome, trigger

FOLDER = Path(__file__).parent / "node"
NODE = shutil.which("node")
CLIENT = FOLDER / "node_modules" / "node-opcua-client"
pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node is not installed"),
    pytest.mark.skipif(not CLIENT.is_dir(), reason="node-opcua is not installed: make node-client"),
    pytest.mark.timeout(150),
]
MV = 6
"""Index of the Machine Vision namespace: the models are registered in a fixed order."""


HASH = "Recipe.Hash"


def call(method: str, arguments: list[Any] | None = None, *until: tuple[str, Any]) -> dict[str, Any]:
    """One call. until: node and value, waited for one after the other once the call has returned."""
    wanted = [{"node": node_id(name), "value": value} for name, value in until]
    return {"method": node_id(method), "arguments": arguments or [], "until": wanted}


def an_engineer(folder: Path) -> dict[str, Any]:
    """Who the client is: a name with a password, over an encrypted session, with the certificate that is trusted."""
    files = [folder / "client.der", folder / "client.pem"]
    for file, content in zip(files, certificate(), strict=True):
        file.write_bytes(content)
    return {
        "user": {"type": 1, "userName": "emil", "password": PASSWORD},
        "security": {
            "mode": "SignAndEncrypt",
            "policy": "Basic256Sha256",
            "certificate": str(files[0]),
            "key": str(files[1]),
        },
    }


def plan() -> dict[str, Any]:
    """What the client is to do: every method in an order in which each is legal."""
    automatic = f"{AUTOMATIC}.CurrentState.Number"

    def inner(state: State) -> tuple[str, int]:
        return automatic, int(state)

    def outer(state: State) -> tuple[str, int]:
        return f"{VISION}.CurrentState.Number", int(state)

    ready, single, going = inner(State.READY), inner(State.SINGLE_EXECUTION), inner(State.CONTINUOUS_EXECUTION)
    why, job = [7, "test"], [{"id": "m1"}, {"id": "sample"}]
    calls = [
        call("Station.SetMode", [1, "Ada", "test"], outer(State.ERROR), ready),
        call("Station.ResetFailsafe", ["Ada"]),
        call("Station.StartJob", ["sample", "Ada"], single, ready),
        call("Station.ChangeRecipe", ["washer", "Ada"], (HASH, "77" * 32), ready),
        call(f"{AUTOMATIC}.StartSingleJob", job, single, ready),
        call(f"{AUTOMATIC}.StartContinuous", job, going),
        call(f"{AUTOMATIC}.Stop", why, ready),
        call(f"{AUTOMATIC}.StartContinuous", job, going),
        call(f"{AUTOMATIC}.Abort", why, ready),
        call(f"{AUTOMATIC}.SimulationMode", [True, *why]),
        call(f"{RECIPES}.GetRecipeListFiltered", [{}, {}, 2, 10, 0, 1000]),
        call(f"{RECIPES}.ReleaseRecipeHandle", [1]),
        call(f"{RECIPES}.AddRecipe", [{"id": "ring"}, {"id": "washer"}]),
        call(f"{RECIPES}.PrepareRecipe", [{"id": "ring"}, {}], ("Recipe.Product", "ring"), ready),
        call(f"{RECIPES}.UnprepareRecipe", [{"id": "ring"}, {}]),
        call(f"{RECIPES}.PrepareProduct", [{"id": "washer"}], ("Recipe.Product", "washer"), ready),
        call(f"{RECIPES}.UnprepareProduct", [{"id": "washer"}]),
        call(f"{RECIPES}.RemoveRecipe", [{"id": "ring"}]),
        call(f"{RESULTS}.GetResultById", [{"id": "7/plc/1"}, 2000]),
        call(f"{RESULTS}.GetResultComponentsById", [{"id": "7/plc/1"}, 2000]),
        call(f"{RESULTS}.GetResultListFiltered"),
        call(f"{RESULTS}.ReleaseResultHandle", [1]),
        call(f"{VISION}.Halt", why, outer(State.HALTED)),
        call(f"{VISION}.Reset", why, outer(State.PREOPERATIONAL)),
        call(f"{VISION}.SelectModeAutomatic", [], ready),
    ]
    return {
        "nodes": [node_id(node.name) for node in NODES][:200],
        "browse": node_id(NAME),
        "simple": {f"ns={MV};i=3018": 7},
        "events": {
            "node": node_id(NAME),
            "types": [f"ns={MV};i={kind.value}" for kind in Kind],
            "fields": [f"{MV}:{name}" for name in ("JobId", "ResultId", "MeasId", "PartId", "ProcessingTimes")],
        },
        "calls": calls,
        # SetMode takes this station to failsafe for a moment.
        "alarm": {"name": "Failsafe"},
    }


def a_journal(path: Path) -> Path:
    journal = SqliteJournal(path, lambda _parts: None, lambda _health, _why: None)
    journal.open()
    journal.append(trigger(1))
    journal.append(outcome(1))
    journal.close(5.0)
    return path


async def test_it_browses_reads_subscribes_calls_and_receives(tmp_path: Path) -> None:
    recipes = tmp_path / "recipes"
    shutil.copytree(Path(__file__).parents[2] / "controller" / "sim" / "station" / "recipes", recipes)
    journal = a_journal(tmp_path / "journal.db")
    wanted = plan() | an_engineer(tmp_path)
    async with serving(VisionStation(recipes, journal, brisk=True)) as station:
        child = await asyncio.create_subprocess_exec(
            NODE or "node",
            str(FOLDER / "client.js"),
            station.endpoint,
            json.dumps(wanted),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=FOLDER,
        )
        try:
            async with asyncio.timeout(120):
                output, errors = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    seen: dict[str, Any] = (
        json.loads(output.decode().strip().splitlines()[-1]) if output else {"error": errors.decode()}
    )
    assert "error" not in seen, seen
    assert seen["browsed"] >= 80 and seen["subscribed"] == 200
    called = {method.removeprefix("ns=2;s=") for method in seen["calls"]}
    assert called == set(METHODS)
    assert {call["status"] for call in seen["calls"].values()} == {"Good"}, seen["calls"]
    errors_of = {name.removeprefix("ns=2;s="): held["last"] for name, held in seen["calls"].items()}
    expected = {f"{RECIPES}.UnprepareRecipe": -4, f"{RECIPES}.UnprepareProduct": -4}
    for name, error in errors_of.items():
        if not name.startswith("Station."):
            assert error == expected.get(name, 0), name
    assert set(seen["events"]) == set(wanted["events"]["types"])
    assert seen["alarm"] == {
        "refreshed": "Good",
        "acknowledged": "Good",
        "comment": "seen",
        "who": "emil",
        "confirmed": "Good",
        "conditionId": node_id("Alarms.Failsafe"),
        "severity": Priority.CRITICAL.value,
        "retain": False,
    }
