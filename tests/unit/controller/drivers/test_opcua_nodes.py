"""Node ids as people and vendors write them."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.plc.opcua_nodes import STYLES, fill_pattern, parse_address, tag_addresses
from controller.drivers.plc.tags import FOUR_PHASE, SEQUENCE
from controller.errors import ConfigError

GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"


@pytest.mark.parametrize(
    ("text", "namespace", "identifier"),
    [
        ("i=2258", 0, 2258),
        ("ns=2;s=Linegate.Ready", 2, "Linegate.Ready"),
        ("ns=3;i=7000", 3, 7000),
        (f"ns=4;g={GUID}", 4, uuid.UUID(GUID)),
        ("ns=5;b=bGluZQ==", 5, b"line"),
        ('ns=3;s="DB;1"."a=b"[0]', 3, '"DB;1"."a=b"[0]'),
        ("nsu=http://example.org/plc;s=Ready", "http://example.org/plc", "Ready"),
        ("nsu=urn:a%3Bb%25c;i=1", "urn:a;b%c", 1),
    ],
)
def test_reads_every_kind(text: str, namespace: int | str, identifier: object) -> None:
    address = parse_address(text)
    assert (address.namespace, address.identifier) == (namespace, identifier)
    node = address.on(["http://opcfoundation.org/UA/", "http://example.org/plc", "urn:a;b%c"])
    assert node.Identifier == identifier


@pytest.mark.parametrize(
    "text",
    ["", "Ready", "s=", "ns=2;Ready", "ns=-1;s=x", "ns=70000;s=x", "ns=2;i=x", "i=-1", "i=4294967296", "g=123",
     "b=***", "nsu=;s=x", "ns=2;x=1"],
)  # fmt: skip
def test_refuses_what_is_no_node_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"ns=2;s=Name|highest"):
        parse_address(text)


@given(st.integers(0, 65535), st.text(min_size=1), st.integers(0, (1 << 32) - 1))
def test_any_identifier_survives(namespace: int, text: str, number: int) -> None:
    assert parse_address(f"ns={namespace};s={text}").on([]).Identifier == text
    assert parse_address(f"ns={namespace};i={number}").on([]).Identifier == number


@pytest.mark.parametrize(
    ("style", "tag", "address"),
    [
        ("linegate", "Trigger[0].Seq", "ns=2;s=Linegate.Trigger[0].Seq"),
        ("siemens", "TriggerSeq", 'nsu=http://www.siemens.com/simatic-s7-opcua;s="DB_Linegate"."TriggerSeq"'),
        ("siemens", "Trigger[3].Seq", 'nsu=http://www.siemens.com/simatic-s7-opcua;s="DB_Linegate"."Trigger"[3]."Seq"'),
        ("siemens", "Result.Action", 'nsu=http://www.siemens.com/simatic-s7-opcua;s="DB_Linegate"."Result"."Action"'),
        ("codesys", "Ready", "nsu=CODESYSSPV3/3S/IecVarAccess;s=|var|PLC.Application.GVL.Linegate.Ready"),
        ("beckhoff", "Ready", "nsu=urn:BeckhoffAutomation:Ua:PLC1;s=GVL.Linegate.Ready"),
        ("kepware", "Ready", "nsu=KEPServerEX;s=Channel1.Device1.Linegate.Ready"),
    ],
)  # fmt: skip
def test_styles_write_as_their_servers_do(style: str, tag: str, address: str) -> None:
    preset = STYLES[style]  # pyright: ignore[reportArgumentType]
    assert fill_pattern(preset.pattern, preset.root, tag) == address


@pytest.mark.parametrize("tags", [SEQUENCE, FOUR_PHASE])
@pytest.mark.parametrize("style", list(STYLES))
def test_every_style_gives_every_tag_an_address_of_its_own(style: str, tags: object) -> None:
    preset = STYLES[style]  # pyright: ignore[reportArgumentType]
    found = tag_addresses(tags, 4, preset.pattern, preset.root, {}, "x")  # pyright: ignore[reportArgumentType]
    assert len({address.text for address in found.values()}) == len(found)


def test_two_tags_on_one_node_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the node of .* too") as caught:
        tag_addresses(SEQUENCE, 2, "ns=2;s={tag}", "", {"Ready": "ns=2;s=Online"}, "station.toml")
    assert caught.value.key == "Ready"


def test_an_unknown_namespace_names_those_that_the_server_has() -> None:
    address = parse_address("nsu=urn:plc;s=Ready")
    with pytest.raises(ConfigError, match="urn:plc: take one of urn:a, urn:b"):
        address.resolved(["urn:a", "urn:b"], "opc.tcp://plc", "Ready")
