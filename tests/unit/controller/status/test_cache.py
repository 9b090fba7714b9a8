"""The cache of the address space: nodes come out as they went in, and a file that is not whole is not used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds

from controller.status.vision import cache
from controller.status.vision.packing import HEAP, CachedNodes, Nodes

COUNT = 3 * HEAP + 1


def number(n: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(n), ua.Int16(2))


def node(n: int) -> NodeData:
    made = NodeData(number(n))
    made.attributes[AttributeIds.Value] = AttributeValue(ua.DataValue(ua.Variant(n, ua.VariantType.Int64)))
    made.references.append(ua.ReferenceDescription(NodeId=number(n + 1), ReferenceTypeId=number(0)))
    return made


def value(made: NodeData) -> object:
    held = made.attributes[AttributeIds.Value].value
    assert held is not None and held.Value is not None
    return held.Value.Value


async def saved(folder: Path, nodes: Nodes) -> Nodes | None:
    """Through a file and back."""
    server = Server()
    server.iserver.aspace._nodes = nodes  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    assert cache.save(folder, server, [])
    return await cache.load([folder])


async def test_every_node_comes_out_as_it_went_in(tmp_path: Path) -> None:
    nodes: Nodes = {number(n): node(n) for n in range(1, COUNT + 1)} | {
        ua.NodeId(ua.String("Station"), ua.Int16(2)): node(0)
    }
    found = await saved(tmp_path, nodes)
    assert isinstance(found, CachedNodes)
    assert len(found) == len(nodes)
    assert set(found) == set(nodes)
    for node_id, made in nodes.items():
        assert node_id in found
        assert found[node_id].nodeid == made.nodeid
        assert value(found[node_id]) == value(made)
        assert found[node_id].references == made.references
    assert len(found) == len(nodes)
    assert number(9999) not in found
    assert found.get(number(9999)) is None
    assert found[number(1)] is found[number(1)]


async def test_nodes_are_written_over_and_deleted_whether_unpacked_or_not(tmp_path: Path) -> None:
    found = await saved(tmp_path, {number(n): node(n) for n in range(1, COUNT + 1)})
    assert found is not None
    found[number(1)] = node(100)
    del found[number(2)]
    # Unpacks the heap that these two lay in.
    assert value(found[number(3)]) == 3
    assert value(found[number(1)]) == 100
    assert number(2) not in found
    del found[number(3)]
    assert number(3) not in found
    with pytest.raises(KeyError):
        value(found[number(3)])
    with pytest.raises(KeyError):
        del found[number(9999)]
    assert len(found) == len(list(found)) == COUNT - 2


async def test_nodes_may_be_unpacked_while_their_ids_are_read(tmp_path: Path) -> None:
    found = await saved(tmp_path, {number(n): node(n) for n in range(1, COUNT + 1)})
    assert found is not None
    assert sum(value(found[node_id]) == node_id.Identifier for node_id in found) == COUNT


async def test_a_method_keeps_its_work_and_the_cache_does_not_hold_it(tmp_path: Path) -> None:
    def work() -> None: ...

    nodes: Nodes = {number(1): node(1)}
    nodes[number(1)].call = work
    found = await saved(tmp_path, nodes)
    assert nodes[number(1)].call is work
    assert found is not None and found[number(1)].call is None


@pytest.mark.parametrize("place", [0, 4, 40, -1])
async def test_a_damaged_cache_is_not_used(tmp_path: Path, place: int) -> None:
    assert await saved(tmp_path, {number(n): node(n) for n in range(1, COUNT + 1)}) is not None
    (path,) = tmp_path.glob("status-model-*.pickle")
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert await cache.load([tmp_path]) is None
    path.write_bytes(content[: len(content) // 2])
    assert await cache.load([tmp_path]) is None
    path.write_bytes(b"")
    assert await cache.load([tmp_path]) is None


async def test_a_cache_of_another_version_is_not_used_and_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: Nodes = {number(1): node(1)}
    assert await saved(tmp_path, nodes) is not None
    monkeypatch.setattr(cache, "cache_key", lambda: "another")
    assert not cache.present(tmp_path)
    assert await cache.load([tmp_path]) is None
    assert await saved(tmp_path, nodes) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["status-model-another.pickle"]


async def test_the_first_folder_that_has_one_is_read(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert await saved(other, {number(1): node(1)}) is not None
    found = await cache.load([one, other])
    assert found is not None and list(found) == [number(1)]
    assert await saved(one, {number(2): node(2)}) is not None
    found = await cache.load([one, other])
    assert found is not None and list(found) == [number(2)]


@pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX")
async def test_a_cache_that_others_can_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await saved(tmp_path, {number(1): node(1)}) is not None
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644
    for mode in (0o664, 0o646):
        path.chmod(mode)
        assert await cache.load([tmp_path]) is None
    path.chmod(0o644)
    assert await cache.load([tmp_path]) is not None
    # Another user than the one who made it, who did not install the program either.
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    monkeypatch.setattr(cache, "_program_owner", lambda: path.stat().st_uid + 2)
    assert await cache.load([tmp_path]) is None


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = Server()
    server.iserver.aspace._nodes = {}  # pyright: ignore[reportPrivateUsage]
    assert not cache.save(tmp_path / "file", server, [])
