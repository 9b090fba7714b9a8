"""`linegate plc watch` and `probe` over every protocol, on the direct link, and on a link that shows no single tags."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

from controller.cli import main
from controller.config import StationConfig, load_station
from controller.drivers.plc.direct import DirectPlc, DirectTags
from controller.drivers.plc.tags import SEQUENCE, Direction
from controller.errors import DeviceRefused
from controller.plc_commands import verbs
from controller.plc_commands.live import glance
from controller.plc_commands.measure import StationRuns
from controller.plc_commands.probe import ProbeOrder, probe
from controller.plc_links import plc_link
from controller.ports import PlcLink, PlcTags
from controller.sim.logix_tags import LogixTags
from controller.sim.modbus_tags import ModbusTags
from controller.sim.plc_tags import TagKind
from controller.sim.sequence_tags import declared_tags
from controller.sim.workspace import Workspace, make_workspace
from tests.contract.modbus_rigs import ModbusServerRig
from tests.contract.tag_server import FreezingProxy, TagServer, TagServerSettings, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[TagServer]:
    """A PLC that publishes every 100 ms at best."""
    async with TagServer(TagServerSettings(fastest_ms=100.0)) as made:
        yield made


@pytest.fixture
def workspace(server: TagServer, tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path, name="bench", belt="b", plc_address=server.endpoint)


def edit(workspace: Workspace, old: str, new: str) -> StationConfig:
    text = workspace.station.read_text(encoding="utf-8")
    assert old in text
    workspace.station.write_text(text.replace(old, new, 1), encoding="utf-8")
    return load_station(workspace.station)


async def linegate(*words: str) -> int:
    """The command as a person gives it, in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(main, ["plc", *words])


async def test_watch_once_shows_every_tag_and_writes_none(
    server: TagServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.reset()
    await server.set("TriggerSeq", 41)
    await server.set("Result[3].Verdict", 2)
    server.writes.clear()
    assert await linegate("watch", str(workspace.station), "--once", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["tags"]) == list(SEQUENCE.names(8))
    assert (shown["tags"]["TriggerSeq"], shown["tags"]["Result[3].Verdict"]) == (41, 2)
    assert shown["tags"]["Ready"] is False
    assert shown["notices"] == []
    assert server.writes == []


async def test_watch_names_codes_and_the_newest_slots(
    server: TagServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.reset()
    for slot, number in ((1, 10), (2, 11)):
        await server.set(f"Result[{slot}].ResultSeq", number)
    await server.set("Result[2].Action", 3)
    await server.set("Result[2].Reason", 99)
    assert await linegate("watch", str(workspace.station), "--once") == 0
    text = capsys.readouterr().out
    assert "Result[2], the newest" in text
    assert "3 REJECT" in text
    assert "99 (unknown)" in text
    assert "Trigger[" not in text


async def test_watch_goes_on_when_the_plc_comes_back(
    server: TagServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "RETRY_S", 0.05)
    port = free_port()
    made = make_workspace(tmp_path, name="bench", belt="b", plc_address=f"opc.tcp://127.0.0.1:{port}")
    station = load_station(made.station)
    await server.reset()
    seen: list[dict[str, Any]] = []
    arrived = asyncio.Event()

    def keep(content: Any, indent: int | None = None) -> None:
        seen.append(content)
        arrived.set()

    monkeypatch.setattr(verbs, "put_json", keep)
    watching = asyncio.create_task(verbs.watch(plc_link(station), station, as_json=True, once=False, interval_s=0.01))
    try:
        async with asyncio.timeout(20):
            for number in (5, 6):
                await server.set("TriggerSeq", number)
                async with FreezingProxy(server.port, port):
                    while not seen or seen[-1]["TriggerSeq"] != number:
                        arrived.clear()
                        await arrived.wait()
        assert server.writes == []
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert "trying again" in capsys.readouterr().err


async def test_probe_measures_and_expects(
    server: TagServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.reset()
    words = ("--requests", "20", "--exposure-ms", "3", "--inference-ms", "4", "--json")
    assert await linegate("probe", str(workspace.station), *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == 0
    assert len(report["tags"]) == len(SEQUENCE.names(8))
    read, expected = report["read"], report["expectation"]
    assert read["count"] == 20
    assert 0 < read["p50"] <= read["p95"] <= read["p99"] <= read["worst"]
    assert expected["typical_ms"] == pytest.approx(1.0 + 7.0 + 3 * read["p50"])
    assert report["write_fields"] is None
    assert any("--write" in remark for remark in report["remarks"])
    assert server.writes == []


async def test_probe_writes_back_what_stands_there(
    server: TagServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    await server.reset()
    await server.set("Result[0].Score", 0.25)
    await server.set("Result[0].ResultSeq", 9)
    before = {name: await server.get(name) for name in SEQUENCE.names(8)}
    assert await linegate("probe", str(workspace.station), "--write", "--requests", "5", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["write_fields"]["count"], report["write_number"]["count"]) == (5, 5)
    assert {name: await server.get(name) for name in SEQUENCE.names(8)} == before
    assert ("Result[0].Score", 0.25) in server.writes
    assert {name for name, _ in server.writes} == {name for name in SEQUENCE.names(1) if name.startswith("Result[0]")}


async def test_probe_does_not_write_beside_a_running_station(server: TagServer, workspace: Workspace) -> None:
    await server.reset()

    async def beat() -> None:
        for number in range(1, 1 << 30):
            await server.set("Heartbeat", number)
            await asyncio.sleep(0.01)

    beating = asyncio.create_task(beat())
    try:
        assert await linegate("probe", str(workspace.station), "--write", "--requests", "5") == 2
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
    assert {name for name, _ in server.writes} == {"Heartbeat"}


async def test_probe_names_every_tag_that_is_wrong(
    server: TagServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = 'overrides = { Ready = "ns=2;s=Nowhere", TriggerAckSeq = "ns=2;s=Linegate.Text" }'
    edit(workspace, "[[cameras]]", f"{wrong}\n\n[[cameras]]")
    assert await linegate("probe", str(workspace.station), "--json") == 2
    report = json.loads(capsys.readouterr().out)
    problems = {tag["name"]: tag["problem"] for tag in report["tags"] if tag["problem"]}
    assert set(problems) == {"Ready", "TriggerAckSeq"}
    assert report["read"] is None
    assert await linegate("probe", str(workspace.station)) == 2
    assert "2 to mend" in capsys.readouterr().out


async def test_probe_says_that_the_subscription_is_too_slow(
    server: TagServer, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(workspace, "poll_ms = 2.0", 'poll_ms = 2.0\ntrigger = "subscribe"')
    assert await linegate("probe", str(workspace.station), "--requests", "5") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "publishes every 100 ms, 10 ms were asked for: polling every 2 ms" in text


@pytest.mark.parametrize("verb", ["watch", "probe"])
async def test_nobody_there(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_workspace(tmp_path, name="x", belt="b", plc_address=f"opc.tcp://127.0.0.1:{free_port()}")
    words = ("--once",) if verb == "watch" else ()
    assert await linegate(verb, str(made.station), *words) == 3
    assert "connection lost or refused" in capsys.readouterr().err


class Served:
    """The soft PLC's tags over a protocol, with what was written to them."""

    def __init__(self, protocol: Literal["ethernet-ip", "modbus"]) -> None:
        self.protocol: Literal["ethernet-ip", "modbus"] = protocol
        self.declared = declared_tags(8, TagKind.WORD)
        self.writes: list[tuple[str, Any]] = []
        self.tags: LogixTags | ModbusTags
        if protocol == "modbus":
            self.tags = ModbusTags("127.0.0.1", 0, self.declared, self._written)
        else:
            self.tags = LogixTags("127.0.0.1", 0, self.declared, self._written, pattern="Linegate.{tag}")

    def _written(self, name: str) -> None:
        self.writes.append((name, self.tags.cell(name).get()))


@pytest_asyncio.fixture(loop_scope="module", params=["ethernet-ip", "modbus"])
async def plc(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Served, Path]]:
    """A PLC of each other protocol, and the file of a station for it."""
    served = Served(request.param)
    address = await served.tags.start()
    made = make_workspace(tmp_path, name="bench", belt="b", plc_address=address, protocol=served.protocol)
    yield served, made.station
    await served.tags.stop()


async def test_watch_of_the_other_protocols_shows_every_tag_and_writes_none(
    plc: tuple[Served, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    served, station = plc
    served.tags.cell("TriggerSeq").set(41)
    served.tags.cell("Result[3].Verdict").set(2)
    served.tags.cell("Result[3].Score").set(0.25)
    assert await linegate("watch", str(station), "--once", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["tags"]
    assert list(shown) == list(SEQUENCE.names(8))
    assert (shown["TriggerSeq"], shown["Result[3].Verdict"], shown["Result[3].Score"]) == (41, 2, 0.25)
    assert shown["Ready"] is False
    assert served.writes == []


async def test_probe_of_the_other_protocols_lists_measures_and_writes_back(
    plc: tuple[Served, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    served, station = plc
    served.tags.cell("Result[0].Score").set(0.25)
    served.tags.cell("Result[0].ResultSeq").set(9)
    assert await linegate("probe", str(station), "--requests", "5", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert {tag["name"] for tag in report["tags"]} == set(SEQUENCE.names(8))
    assert all(tag["kind"] and tag["access"] and not tag["problem"] for tag in report["tags"])
    assert report["read"]["count"] == 5
    assert served.writes == []
    assert await linegate("probe", str(station), "--write", "--requests", "5", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["write_fields"]["count"], report["write_number"]["count"]) == (5, 5)
    written = dict(served.writes)
    assert set(written) == {name for name in SEQUENCE.names(1) if name.startswith("Result[0]")}
    assert (written["Result[0].Score"], written["Result[0].ResultSeq"]) == (0.25, 9)


async def test_probe_of_the_other_protocols_does_not_write_beside_a_station(plc: tuple[Served, Path]) -> None:
    served, station = plc

    async def beat() -> None:
        for number in range(1, 1 << 30):
            served.tags.cell("Heartbeat").set(number)
            await asyncio.sleep(0.01)

    beating = asyncio.create_task(beat())
    try:
        assert await linegate("probe", str(station), "--write", "--requests", "5") == 2
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
    assert served.writes == []


async def test_probe_of_a_logix_controller_names_every_tag_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Served("ethernet-ip")
    assert isinstance(served.tags, LogixTags)
    address = await served.tags.start()
    made = make_workspace(tmp_path, name="bench", belt="b", plc_address=address, protocol="ethernet-ip")
    try:
        fewer = [tag for tag in served.declared if tag.name != "Ready"]
        served.tags.download(fewer, types={"Enable": "DINT"})
        assert await linegate("probe", str(made.station), "--json") == 2
    finally:
        await served.tags.stop()
    report = json.loads(capsys.readouterr().out)
    problems = {tag["name"]: tag["problem"] for tag in report["tags"] if tag["problem"]}
    assert "no such tag" in problems["Ready"]
    assert "is DINT: make it a BOOL" in problems["Enable"]
    assert set(problems) == {"Ready", "Enable"}
    assert report["read"] is None


async def test_probe_of_modbus_registers_names_every_tag_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Served("modbus")
    address = await served.tags.start()
    made = make_workspace(tmp_path, name="bench", belt="b", plc_address=address, protocol="modbus")
    text = made.station.read_text(encoding="utf-8")
    wrong = text.replace("[[cameras]]", "[plc.registers]\nstation_to_plc = 60000\n\n[[cameras]]", 1)
    made.station.write_text(wrong, encoding="utf-8")
    try:
        assert await linegate("probe", str(made.station), "--json") == 2
    finally:
        await served.tags.stop()
    report = json.loads(capsys.readouterr().out)
    problems = {tag["name"]: tag["problem"] for tag in report["tags"] if tag["problem"]}
    from_station = {n for n, t in SEQUENCE.names(8).items() if t.direction is Direction.STATION_TO_PLC}
    assert set(problems) == from_station
    assert "register 460003, offset 60002 not read: illegal address" in problems["Online"]
    assert served.writes == []


async def test_nothing_looks_at_a_running_station_that_is_the_modbus_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads its Heartbeat is the PLC to it: a person who watches would hide that the PLC is gone."""
    made = make_workspace(tmp_path, name="b", belt="b", plc_address="127.0.0.1:0", protocol="modbus-server")
    rig = ModbusServerRig()
    await rig.start()
    try:
        await rig.link.connect(verbs.after(20_000))
        text = made.station.read_text(encoding="utf-8")
        made.station.write_text(text.replace("port = 0", f"port = {rig.link.port}", 1), encoding="utf-8")
        for verb in (("watch", "--once"), ("probe",)):
            assert await linegate(verb[0], str(made.station), *verb[1:]) == 2
            assert "cannot listen there" in capsys.readouterr().err
    finally:
        await rig.stop()
        await rig.link.close()


class OnlyALink:
    """A link of a protocol that has nothing to show besides."""

    polls = True

    def __init__(self, link: DirectPlc) -> None:
        self.connect, self.read, self.changed = link.connect, link.read, link.changed
        self.write_status, self.write_answer, self.close = link.write_status, link.write_answer, link.close


def quiet(_kind: str, _done: int) -> None:
    pass


@pytest.fixture
def tags() -> DirectTags:
    made = DirectTags()
    made.values["TriggerSeq"] = 6
    made.values["Trigger[5].PartId"] = 4711
    return made


async def test_the_direct_link_is_probed_like_any_other(workspace: Workspace, tags: DirectTags) -> None:
    station = load_station(workspace.station)
    written: list[str] = []
    tags.on_write = lambda name, _value: written.append(name)
    report = await probe(station, DirectPlc(tags), ProbeOrder(requests=3, write=True, quiet_s=0.05), quiet)
    assert report.problems == ()
    assert report.write_number is not None
    assert written.count("Result[0].ResultSeq") == 3
    assert report.expectation is not None
    tags.refused.add("Ready")
    report = await probe(station, DirectPlc(tags), ProbeOrder(requests=3), quiet)
    assert [tag.name for tag in report.problems] == ["Ready"]


async def test_a_link_that_shows_no_tags_is_watched_and_measured_all_the_same(
    workspace: Workspace, tags: DirectTags
) -> None:
    station = load_station(workspace.station)
    link: PlcLink = OnlyALink(DirectPlc(tags))
    assert not isinstance(link, PlcTags)
    report = await probe(station, link, ProbeOrder(requests=3), quiet)
    assert report.read is not None
    assert any("lists none" in remark for remark in report.remarks)
    with pytest.raises(DeviceRefused, match="without --write"):
        await probe(station, link, ProbeOrder(requests=3, write=True), quiet)
    link = OnlyALink(DirectPlc(tags))
    await link.connect(verbs.after(1000))
    seen = await glance(link, SEQUENCE, 8, 1000)
    incoming = {name for name, tag in SEQUENCE.names(8).items() if tag.direction is Direction.PLC_TO_STATION}
    assert set(seen.values) == incoming
    assert (seen.values["TriggerSeq"], seen.values["Trigger[5].PartId"]) == (6, 4711)
    await link.close()


async def test_a_heart_that_beats_between_two_looks_is_seen(workspace: Workspace, tags: DirectTags) -> None:
    station = load_station(workspace.station)
    loop = asyncio.get_running_loop()
    beat: Callable[[], None] = lambda: tags.values.update(Heartbeat=7)  # noqa: E731
    timer = loop.call_later(0.1, beat)
    with pytest.raises(StationRuns):
        await probe(station, DirectPlc(tags), ProbeOrder(requests=1, write=True, quiet_s=5), quiet)
    timer.cancel()
