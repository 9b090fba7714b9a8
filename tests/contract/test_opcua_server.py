"""The OPC UA link against servers that are not as the contract wants them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from controller.drivers.plc.opcua import OpcUaPlc, OpcUaPlcSettings
from controller.errors import ConfigError, DeviceError, DeviceRefused, DeviceTimeout, DeviceUnavailable
from statemachines.vocabulary import MS, Action, Answer, Mode, Ns, Reason, Severity, Verdict
from tests.contract.tag_server import FreezingProxy, TagServer, TagServerSettings, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
Type = ua.VariantType


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


def answer(seq: int, part_id: int | str) -> Answer:
    return Answer(
        seq, part_id, 1, 2, Action.PASS, Verdict.OK, Reason.DECIDED, 0, Severity.NONE, 0, 0.1, 900, Mode.ALERT
    )  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def odd() -> Any:
    """A PLC of 64-bit integers and string part ids, with everything wrong that one server can hold at a time."""
    settings = TagServerSettings(
        depth=2,
        integer=Type.Int64,
        part_id=Type.String,
        types={
            "Ready": Type.Int16,
            "Mode": Type.Byte,
            "Heartbeat": Type.Int16,
            "Overruns": Type.UInt32,
            "Result[1].Score": Type.Double,
            "RecipeRequest": Type.Int32,
            "RecipeActive": Type.Int16,
        },
        missing=frozenset({"GateSeq", "PlcClockMs", "Trigger[0].EncoderPos"}),
        read_only=frozenset({"Fallback"}),
    )
    async with TagServer(settings) as made:
        await made.add_node("Good.PlcClockMs", Type.Int32)
        await made.add_node("Good.Ready", Type.Boolean)
        await made.add_node("Good.Fallback", Type.Int16)
        await made.add_node("Good.Heartbeat", Type.UInt32)
        await made.add_node("Good.RecipeActive", Type.Int32)
        yield made


MENDED = {
    "PlcClockMs": "ns=2;s=Good.PlcClockMs",
    "Ready": "ns=2;s=Good.Ready",
    "Fallback": "ns=2;s=Good.Fallback",
    "Heartbeat": "ns=2;s=Good.Heartbeat",
    "RecipeActive": "ns=2;s=Good.RecipeActive",
}


def settings(server: TagServer, **changes: Any) -> OpcUaPlcSettings:
    usual: dict[str, Any] = {"depth": 2, "overrides": MENDED, "part_id": "string"}
    return OpcUaPlcSettings(server.endpoint, **(usual | changes))


@pytest.mark.parametrize(
    ("tag", "node", "cure"),
    [
        ("PlcClockMs", "Linegate.PlcClockMs", "create the tag"),
        ("Ready", "Linegate.Ready", "make it a BOOL"),
        ("Fallback", "Linegate.Fallback", "not writable"),
        ("Heartbeat", "Linegate.Heartbeat", "too narrow"),
        ("RecipeActive", "Linegate.RecipeActive", "cannot hold every RecipeRequest"),
    ],
)
async def test_names_the_tag_that_can_never_work(odd: TagServer, tag: str, node: str, cure: str) -> None:
    overrides = {name: value for name, value in MENDED.items() if name != tag}
    plc = OpcUaPlc(settings(odd, overrides=overrides))
    with pytest.raises(ConfigError, match=cure) as caught:
        await plc.connect(within(5000))
    assert (caught.value.file, caught.value.key, caught.value.value) == (odd.endpoint, tag, f"ns=2;s={node}")
    with pytest.raises(DeviceUnavailable):
        await plc.read((), within(100))


async def test_a_narrow_number_is_enough_for_a_small_modulus(odd: TagServer) -> None:
    overrides = {name: value for name, value in MENDED.items() if name != "Heartbeat"}
    plc = OpcUaPlc(settings(odd, overrides=overrides, modulus=32767))
    await plc.connect(within(5000))
    with pytest.raises(DeviceRefused, match="Heartbeat"):
        await plc.write_status({"Heartbeat": 32768}, within(1000))
    await plc.write_status({"Heartbeat": 32767}, within(1000))
    await plc.close()
    assert await odd.get("Heartbeat") == 32767


async def test_part_ids_of_the_wrong_kind_are_refused(odd: TagServer) -> None:
    with pytest.raises(ConfigError, match="part_id to string"):
        await OpcUaPlc(settings(odd, part_id="int")).connect(within(5000))


async def test_an_optional_tag_that_was_named_must_exist(odd: TagServer) -> None:
    overrides = {**MENDED, "GateSeq": "ns=2;s=Nowhere"}
    with pytest.raises(ConfigError, match="GateSeq"):
        await OpcUaPlc(settings(odd, overrides=overrides)).connect(within(5000))


async def test_string_ids_and_wide_numbers(odd: TagServer) -> None:
    plc = OpcUaPlc(settings(odd))
    await plc.connect(within(5000))
    await odd.set("Trigger[0].PartId", "Bäckerei 7")
    await odd.set("Trigger[0].TrigClockMs", 1 << 40)
    reading = await plc.read([3], within(1000))
    assert (reading.slots[0].part_id, reading.slots[0].trig_clock_ms) == ("Bäckerei 7", 1 << 40)
    assert reading.slots[0].encoder_pos == 0
    assert reading.head.gate_seq == 0
    await plc.write_answer(answer(2, "Bäckerei 7"), within(1000))
    assert await odd.get("Result[1].PartIdEcho") == "Bäckerei 7"
    assert await odd.get("Result[1].Score") == pytest.approx(0.1)
    await plc.write_status({"Overruns": (1 << 32) - 1, "Mode": 3}, within(1000))
    with pytest.raises(DeviceRefused, match="Overruns"):
        await plc.write_status({"Overruns": -1}, within(1000))
    with pytest.raises(DeviceRefused, match="PartIdEcho"):
        await plc.write_answer(answer(2, 17), within(1000))
    await plc.close()


async def test_a_bad_value_is_refused_by_name(odd: TagServer) -> None:
    plc = OpcUaPlc(settings(odd))
    await plc.connect(within(5000))
    await odd.set_status("PlcEpoch", StatusCodes.BadSensorFailure)
    with pytest.raises(DeviceRefused, match=r"PlcEpoch.*BadSensorFailure"):
        await plc.read((), within(1000))
    await odd.set_status("PlcEpoch", StatusCodes.UncertainLastUsableValue)
    with pytest.raises(DeviceRefused, match=r"PlcEpoch.*UncertainLastUsableValue"):
        await plc.read((), within(1000))
    await odd.set("PlcEpoch", 4)
    for value, kind in ((float("nan"), Type.Double), ("4", Type.String), (True, Type.Boolean), ([4], Type.Int64)):
        odd.set_as("PlcEpoch", value, kind)
        with pytest.raises(DeviceRefused, match="PlcEpoch"):
            await plc.read((), within(1000))
    await odd.set("PlcEpoch", 5)
    assert (await plc.read((), within(1000))).head.plc_epoch == 5
    await plc.close()


async def test_a_subscription_wakes_for_a_trigger(odd: TagServer) -> None:
    plc = OpcUaPlc(settings(odd, trigger="subscribe", publishing_ms=5))
    await plc.connect(within(5000))
    async with asyncio.timeout(10):
        while True:
            await odd.set("TriggerSeq", (await odd.get("TriggerSeq")) + 1)
            before = time.monotonic_ns()
            await plc.changed(within(5000))
            if time.monotonic_ns() - before < 45 * MS:  # sooner than the wake that needs no notification
                break
    await plc.close()


async def test_a_server_that_stops_is_unavailable() -> None:
    plc: OpcUaPlc
    async with TagServer(TagServerSettings(depth=2)) as server:
        plc = OpcUaPlc(OpcUaPlcSettings(server.endpoint, depth=2, trigger="subscribe"))
        await plc.connect(within(5000))
    with pytest.raises(DeviceUnavailable):
        await plc.read((), within(1000))
    await plc.close()
    with pytest.raises(DeviceUnavailable):
        await plc.connect(within(1000))


async def test_connecting_to_a_frozen_server_ends_with_the_deadline(odd: TagServer) -> None:
    async with FreezingProxy(odd.port) as proxy:
        proxy.freeze()
        plc = OpcUaPlc(OpcUaPlcSettings(proxy.endpoint, depth=2))
        async with asyncio.timeout(2):
            with pytest.raises(DeviceTimeout):
                await plc.connect(within(100))


async def test_something_that_is_no_opcua_server() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plc = OpcUaPlc(OpcUaPlcSettings(f"opc.tcp://127.0.0.1:{port}"))
    async with asyncio.timeout(5):
        with pytest.raises(DeviceError):
            await plc.connect(within(500))
    server.close()
    await server.wait_closed()


async def test_nobody_listens() -> None:
    with pytest.raises(DeviceUnavailable):
        await OpcUaPlc(OpcUaPlcSettings(f"opc.tcp://127.0.0.1:{free_port()}")).connect(within(1000))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"depth": 6}, "depth"),
        ({"depth": 1}, "depth"),
        ({"overrides": {"Reddy": "ns=2;s=x"}}, "Reddy"),
        ({"overrides": {"Ready": "Program:Ready"}}, "Ready"),
    ],
)
async def test_settings_that_cannot_work(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpcUaPlc(OpcUaPlcSettings("opc.tcp://127.0.0.1:4840", **changes))
    assert caught.value.key == key
