"""The hand-made Read and Write say the same as asyncua's own encoding."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.plc import opcua_wire as wire

Type = ua.VariantType
NODES = [ua.NodeId.from_string(text) for text in ("ns=2;s=Linegate.Ready", "ns=3;i=7000", "i=85")]


def request_bytes(kind: int, payload: bytes) -> Buffer:
    token = nodeid_to_binary(ua.NodeId.from_string("ns=1;i=1234567"))
    return Buffer(wire.request_type(kind) + wire.request_header(token, 42, 250) + payload)


def test_read_request_is_what_asyncua_reads() -> None:
    payload = wire.read_payload([nodeid_to_binary(node) for node in NODES])
    request = struct_from_binary(ua.ReadRequest, request_bytes(wire.READ_REQUEST, payload))
    assert request.TypeId == ua.ReadRequest().TypeId
    assert (request.RequestHeader.RequestHandle, request.RequestHeader.TimeoutHint) == (42, 250)
    assert request.RequestHeader.AuthenticationToken == ua.NodeId.from_string("ns=1;i=1234567")
    assert request.Parameters.MaxAge == 0
    assert request.Parameters.TimestampsToReturn == ua.TimestampsToReturn.Neither
    assert [item.NodeId for item in request.Parameters.NodesToRead] == NODES
    assert {int(item.AttributeId) for item in request.Parameters.NodesToRead} == {13}


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Type.Boolean, True), (Type.Int16, -3), (Type.UInt32, 1 << 31), (Type.Float, 0.5), (Type.String, "Nr. 7 ü")],
)
def test_write_request_is_what_asyncua_reads(kind: ua.VariantType, value: Any) -> None:
    item = wire.write_prefix(nodeid_to_binary(NODES[0]), kind.value) + wire.pack_value(kind.value, value)
    request = struct_from_binary(ua.WriteRequest, request_bytes(wire.WRITE_REQUEST, wire.write_payload([item, item])))
    assert [(found.NodeId, found.Value.Value) for found in request.Parameters.NodesToWrite] == [
        (NODES[0], ua.Variant(value, kind))
    ] * 2
    assert request.Parameters.NodesToWrite[0].Value.SourceTimestamp is None


SCALARS = st.one_of(
    st.booleans().map(lambda value: ua.Variant(value, Type.Boolean)),
    st.integers(-(1 << 31), (1 << 31) - 1).map(lambda value: ua.Variant(value, Type.Int32)),
    st.integers(0, (1 << 64) - 1).map(lambda value: ua.Variant(value, Type.UInt64)),
    st.floats(allow_nan=False).map(lambda value: ua.Variant(value, Type.Double)),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda value: ua.Variant(value, Type.String)),
)
STATUSES = st.sampled_from([None, 0, StatusCodes.BadOutOfService, StatusCodes.UncertainInitialValue])


@given(st.lists(st.tuples(SCALARS, STATUSES, st.booleans())))
def test_read_reply_is_what_asyncua_wrote(items: list[tuple[ua.Variant, int | None, bool]]) -> None:
    reply = ua.ReadResponse()
    for variant, status, stamped in items:
        code = None if status is None else ua.StatusCode(ua.UInt32(status))
        stamp = ua.DateTime(2026, 11, 24) if stamped else None
        reply.Results.append(ua.DataValue(variant, code, stamp, stamp))
    found = wire.read_reply(struct_to_binary(reply))
    assert found == [variant.Value if not status else wire.BadStatus(status) for variant, status, _ in items]


def test_write_reply_is_what_asyncua_wrote() -> None:
    reply = ua.WriteResponse()
    reply.Results = [ua.StatusCode(ua.UInt32(code)) for code in (0, StatusCodes.BadTypeMismatch)]
    assert wire.write_reply(struct_to_binary(reply)) == [0, StatusCodes.BadTypeMismatch]


def test_a_failed_service_is_one_status() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(StatusCodes.BadSessionIdInvalid))
    body = struct_to_binary(fault)
    assert wire.read_reply(body) == [wire.BadStatus(StatusCodes.BadSessionIdInvalid)]
    assert wire.write_reply(body) == [StatusCodes.BadSessionIdInvalid]


def test_what_is_unusual_is_left_to_asyncua() -> None:
    reply = ua.ReadResponse()
    reply.Results = [ua.DataValue(ua.Variant([1, 2], Type.Int32))]
    with pytest.raises(wire.UnusualReply):
        wire.read_reply(struct_to_binary(reply))
    reply.Results = [ua.DataValue(ua.Variant(7, Type.Int32))]
    body = struct_to_binary(reply)
    for length in range(len(body) - 5):
        with pytest.raises(wire.UnusualReply):
            wire.read_reply(body[:length])
    with pytest.raises(wire.UnusualReply):
        wire.write_reply(body)
