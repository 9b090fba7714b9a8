"""Where the EtherNet/IP link looks for the contract's tags."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controller.config_plc import EthernetIpPlcConfig, LogixTagsSection
from controller.drivers.plc.ethernet_ip import EthernetIpPlc, EthernetIpPlcSettings, addresses
from controller.drivers.plc.logix_pycomm import PycommClient
from controller.drivers.plc.tags import FOUR_PHASE, SEQUENCE
from controller.errors import ConfigError


def test_a_structure() -> None:
    found = addresses(EthernetIpPlcSettings("plc"))
    assert list(found) == list(SEQUENCE.names(8))
    assert found["TriggerSeq"] == "Linegate.TriggerSeq"
    assert found["Trigger[7].PartId"] == "Linegate.Trigger[7].PartId"


def test_tags_and_arrays_in_a_program() -> None:
    found = addresses(EthernetIpPlcSettings("plc", pattern="Program:Main.LG_{flat}", depth=4))
    assert found["Ready"] == "Program:Main.LG_Ready"
    assert found["Result[3].Verdict"] == "Program:Main.LG_Result_Verdict[3]"
    assert "Result[4].Verdict" not in found


def test_the_four_phase_profile() -> None:
    structure = addresses(EthernetIpPlcSettings("plc", profile="four-phase"))
    flat = addresses(EthernetIpPlcSettings("plc", profile="four-phase", pattern="{flat}"))
    assert list(structure) == list(FOUR_PHASE.names(8))
    assert structure["Result.Verdict"] == "Linegate.Result.Verdict"
    assert flat["Result.Verdict"] == "Result_Verdict"


def test_a_name_of_its_own() -> None:
    assert addresses(EthernetIpPlcSettings("plc", overrides={"Ready": "Cam1_Ok"}))["Ready"] == "Cam1_Ok"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"depth": 6}, "depth"),
        ({"depth": 1}, "depth"),
        ({"overrides": {"Reddy": "Linegate.Ready"}}, "Reddy"),
        ({"overrides": {"Ready": "ns=2;s=Ready"}}, "Ready"),
        ({"overrides": {"Ready": "Linegate.Bits[1,2]"}}, "Ready"),
        ({"pattern": "Line gate.{tag}"}, "TriggerSeq"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EthernetIpPlc(EthernetIpPlcSettings("plc", **changes))
    assert caught.value.key == key


def test_a_route_that_leads_nowhere() -> None:
    with pytest.raises(ConfigError, match="slot"):
        PycommClient("plc", "backplane/0/enet")


@pytest.mark.parametrize("pattern", ["Linegate", "{tag}{flat}"])
def test_a_pattern_names_each_tag_in_one_way(pattern: str) -> None:
    with pytest.raises(ValidationError, match="must contain"):
        LogixTagsSection(pattern=pattern)


@pytest.mark.parametrize(
    ("key", "value"),
    [("address", "http://plc"), ("address", "plc:port"), ("route", "backplane"), ("route", ""), ("trigger", "poll")],
)
def test_what_the_section_does_not_take(key: str, value: str) -> None:
    with pytest.raises(ValidationError, match=key):
        EthernetIpPlcConfig.model_validate({"kind": "ethernet_ip", "address": "10.0.0.5", key: value})


@pytest.mark.parametrize("route", ["0", "12", "backplane/2/enet/10.0.0.7/backplane/0"])
def test_routes(route: str) -> None:
    section = EthernetIpPlcConfig.model_validate({"kind": "ethernet_ip", "address": "plc-7.line:44818", "route": route})
    PycommClient(section.address, section.route)
