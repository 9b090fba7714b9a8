"""What the status process is told to serve, and the table of what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.status import address_space
from controller.status.address_space import METHODS, NODES, PARTS
from controller.status.messages import STAGES, StageLatency
from tests.integration.status_access import settings
from tests.integration.status_server import part, snapshot

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    "endpoint", ["opc.tcp://0.0.0.0:4840", "opc.tcp://192.168.1.5:4840", "opc.tcp://station.plant.example:4840"]
)
def test_an_address_that_others_reach_is_served_encrypted_only(endpoint: str) -> None:
    settings(endpoint, unsecured=False)
    with pytest.raises(ConfigError) as refused:
        settings(endpoint, unsecured=True)
    assert refused.value.key == "status.allow_unsecured_loopback"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:4840", "opc.tcp://127.0.0.1", "opc.tcp://127.0.0.1:99999", ""])
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(endpoint)
    assert refused.value.key == "status.endpoint"


def test_without_a_policy_there_is_only_this_computer() -> None:
    settings("opc.tcp://[::1]:4840/linegate", policies=())
    with pytest.raises(ConfigError) as refused:
        settings("opc.tcp://127.0.0.1:4840", policies=(), unsecured=False)
    assert refused.value.key == "status.policies"


def test_the_page_of_nodes_is_current() -> None:
    assert (ROOT / "docs" / "status-nodes.md").read_text(encoding="utf-8") == address_space.page()


def test_the_table_names_each_node_once_and_fits_every_snapshot() -> None:
    names = [node.name for node in NODES] + [f"Station.{method.name}" for method in METHODS]
    assert len(set(names)) == len(names)
    full = snapshot(
        last_parts=[part(seq) for seq in range(PARTS)],
        latencies={stage: StageLatency(1, 2, 3, 4, 5) for stage in STAGES},
    )
    for node in NODES:
        for told in (snapshot(last_parts=[], latencies={}), full):
            assert type(node.read(told)) is type(node.kind.empty), node.name
