"""The OPC UA link and servers that write node ids, rights and intervals in their own way."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from controller.drivers.plc.opcua import OpcUaPlc, OpcUaPlcSettings
from controller.drivers.plc.opcua_nodes import STYLES, fill_pattern, parse_address
from controller.errors import ConfigError, DeviceRefused
from statemachines.vocabulary import MS, Action, Answer, Mode, Ns, Reason, Severity, Verdict
from tests.contract.tag_server import TagServer, TagServerSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
Type = ua.VariantType

SIEMENS = STYLES["siemens"].pattern.replace("{root}", "DB_Linegate")
GUID = uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")
OTHER_KINDS = {
    "Ready": "ns=2;i=1001",
    "Online": f"nsu=urn:somebody;g={GUID}",
    "Heartbeat": "ns=2;b=aGVhcnQ=",
}
ANSWER = Answer(2, 17, 1, 2, Action.PASS, Verdict.OK, Reason.DECIDED, 0, Severity.NONE, 0, 0.5, 900, Mode.ALERT)


def within(milliseconds: float) -> Ns:
    return Ns(time.monotonic_ns() + int(milliseconds * MS))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def siemens() -> AsyncIterator[TagServer]:
    """Siemens' names in a namespace that has moved, with 16-bit, unsigned and 64-bit numbers, at least 100 ms."""
    settings = TagServerSettings(
        depth=2,
        integer=Type.Int64,
        types={"Result[0].Score": Type.Double, "Depth": Type.UInt16, "Mode": Type.Int16, "SessionId": Type.UInt32},
        pattern=SIEMENS,
        namespaces=("urn:somebody", "urn:somebody-else", "http://www.siemens.com/simatic-s7-opcua"),
        fastest_ms=100.0,
    )
    async with TagServer(settings) as made:
        for name, kind in (("Ready", Type.Boolean), ("Online", Type.Boolean), ("Heartbeat", Type.UInt32)):
            await made.add_node(parse_address(OTHER_KINDS[name]), kind)
        await made.add_node("Whole.Trigger", Type.Int32, [0, 0])
        await made.add_node("Whole.Array", Type.Int32, [1, 2, 3])
        yield made


def link(server: TagServer, **changes: Any) -> OpcUaPlc:
    usual: dict[str, Any] = {"depth": 2, "pattern": STYLES["siemens"].pattern, "root": "DB_Linegate"}
    return OpcUaPlc(OpcUaPlcSettings(server.endpoint, **(usual | changes)))


async def test_namespaces_by_uri_and_every_kind_of_identifier(siemens: TagServer) -> None:
    made = link(siemens, overrides=OTHER_KINDS)
    await made.connect(within(5000))
    await siemens.set("TriggerSeq", 4)
    assert (await made.read([1], within(1000))).head.trigger_seq == 4
    await made.write_status({"Ready": True, "Online": True, "Heartbeat": (1 << 32) - 1, "SessionId": 9}, within(1000))
    await made.write_answer(ANSWER, within(1000))
    assert await siemens.get("Result[1].ResultSeq") == 2
    assert await siemens.get("SessionId") == 9
    found = await made.read_tags(["Ready", "Online", "Heartbeat", "Depth", "Nowhere"], within(1000))
    assert found == {"Ready": True, "Online": True, "Heartbeat": (1 << 32) - 1, "Depth": 0, "Nowhere": None}
    await made.write_tags({"Depth": 2, "Ready": False}, within(1000))
    assert await siemens.get("Depth") == 2
    with pytest.raises(DeviceRefused, match="Depth = 65536 is outside 0 to 65535"):
        await made.write_tags({"Depth": 65536}, within(1000))
    with pytest.raises(DeviceRefused, match="Nowhere"):
        await made.write_tags({"Nowhere": 1}, within(1000))
    await made.close()


async def test_a_namespace_that_the_server_does_not_have(siemens: TagServer) -> None:
    with pytest.raises(ConfigError, match="urn:somebody-else") as caught:
        await link(siemens, pattern="nsu=urn:nobody;s={tag}").connect(within(5000))
    assert caught.value.key == "TriggerSeq"


async def test_whole_structures_are_named_as_the_reason(siemens: TagServer) -> None:
    overrides = {"Trigger[0].Seq": 'ns=4;s="Nowhere"'}
    made = link(siemens, pattern='ns=4;s="DB_Linegate".{quoted}', overrides=overrides)
    with pytest.raises(ConfigError, match=r"Trigger\[0\].Seq.*no such node: create"):
        await made.connect(within(5000))
    # Now the ring exists as one value beside the tag that is looked for.
    fields = ("PartId", "TrigClockMs", "RecipeId", "EncoderPos", "Check")
    names = [f"Trigger[{slot}].{field}" for slot in (0, 1) for field in fields]
    everywhere = {name: fill_pattern(SIEMENS, "", name) for name in names}
    made = link(siemens, pattern="ns=2;s=Whole.{tag}", overrides=everywhere)
    found = {report.name: report for report in await made.survey(within(5000))}
    assert "structures and arrays are not read" in found["Trigger[0].Seq"].problem
    assert "ns=2;s=Whole.Trigger" in found["Trigger[0].Seq"].problem
    assert found["Trigger[0].PartId"].problem == ""


async def test_an_array_is_no_number(siemens: TagServer) -> None:
    made = link(siemens, overrides={"Ready": OTHER_KINDS["Ready"], "Depth": "ns=2;s=Whole.Array"})
    with pytest.raises(ConfigError, match="an array") as caught:
        await made.connect(within(5000))
    assert caught.value.key == "Depth"


async def test_a_slow_subscription_is_given_up_for_polling(siemens: TagServer) -> None:
    made = link(siemens, trigger="subscribe", publishing_ms=10.0, poll_ms=1.0)
    await made.connect(within(5000))
    assert siemens.subscriptions == 0
    assert len(made.notices) == 1
    assert "publishes every 100 ms" in made.notices[0]
    assert "polling every 1 ms" in made.notices[0]
    await siemens.set("TriggerSeq", 5)
    async with asyncio.timeout(5):
        while (await made.read((), within(1000))).head.trigger_seq != 5:
            await made.changed(within(1000))
    await made.close()


async def test_a_subscription_that_is_as_slow_as_asked_for_is_kept(siemens: TagServer) -> None:
    made = link(siemens, trigger="subscribe", publishing_ms=100.0)
    await made.connect(within(5000))
    assert (made.notices, siemens.subscriptions) == ((), 1)
    await made.close()


async def test_survey_says_all_at_once_and_writes_nothing(siemens: TagServer) -> None:
    before = list(siemens.writes)
    made = link(siemens, overrides={"Ready": "ns=2;s=Nowhere", "Fallback": OTHER_KINDS["Online"]})
    found = {report.name: report for report in await made.survey(within(5000))}
    assert len(found) == 75
    assert "no such node" in found["Ready"].problem
    assert "make it a DINT" in found["Fallback"].problem
    assert (found["Depth"].kind, found["Depth"].access, found["Depth"].problem) == ("UInt16", "read, write", "")
    assert (found["TriggerSeq"].access, found["TriggerSeq"].problem) == ("read", "")
    assert [name for name, report in found.items() if report.problem] == ["Ready", "Fallback"]
    assert siemens.writes == before


async def test_a_server_that_hides_types_and_rights(siemens: TagServer) -> None:
    """Last in this module: nothing brings the attributes back."""
    for name in ("TriggerSeq", "Online", "Result[0].Score"):
        siemens.hide(name, AttributeIds.DataType)
    for name in ("Enable", "Mode"):
        siemens.hide(name, AttributeIds.UserAccessLevel)
    made = link(siemens)
    await made.connect(within(5000))
    await siemens.set("TriggerSeq", 6)
    assert (await made.read((), within(1000))).head.trigger_seq == 6
    await made.write_status({"Online": True}, within(1000))
    assert await siemens.get("Online") is True
    await made.close()
    found = {report.name: report for report in await made.survey(within(5000))}
    assert (found["Mode"].access, found["Mode"].note) == ("unknown", "the server does not say who may use it")
    siemens.hide("Heartbeat", AttributeIds.DataType)
    siemens.hide("Heartbeat", AttributeIds.Value)
    with pytest.raises(ConfigError, match="no type that may be read") as caught:
        await made.connect(within(5000))
    assert caught.value.key == "Heartbeat"
    siemens.hide("PlcEpoch", AttributeIds.Value)
    found = {report.name: report for report in await made.survey(within(5000))}
    assert "BadUserAccessDenied" in found["PlcEpoch"].problem
