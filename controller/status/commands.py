"""People's wishes, as methods of the server: checked here, decided by the station, answered in time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from controller.status.access import Role
from controller.status.address_space import (
    CHANGE_RECIPE,
    COMMAND_TIMEOUT_S,
    METHODS,
    NAMESPACE_INDEX,
    RESET_FAILSAFE,
    SET_MODE,
    START_JOB,
    StatusMethod,
    node_id,
)
from controller.status.messages import ChangeRecipe, CommandResult, ResetFailsafe, SetMode, StartJob, StatusCommand
from controller.status.security.caller import CALLER, caller_name
from statemachines.vocabulary import Mode

LONGEST_TEXT = 500
"""Characters of a name or a reason; the journal keeps them for years."""
MOST_WAITING = 16
"""Commands that wait for the station at once."""

_CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")
Answer = tuple[bool, str]


async def build_commands(server: Server) -> None:
    """Add the methods to the object Station, for a desk to link them."""
    station = server.get_node(ua.NodeId.from_string(node_id("Station")))
    for method in METHODS:
        await station.add_method(
            _method_id(method),
            ua.QualifiedName(method.name, ua.UInt16(NAMESPACE_INDEX)),
            None,
            [_argument(name, ua.VariantType[kind.value], text) for name, kind, text in method.inputs],
            [
                _argument("ok", ua.VariantType.Boolean, "it was granted"),
                _argument("why", ua.VariantType.String, "what comes of it, or why not"),
            ],
        )


class CommandDesk:
    """Takes commands from clients to the station and the answers back.

    send: hands a command to the station; False when that is impossible now.
    """

    def __init__(self, send: Callable[[StatusCommand], bool], timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        self._send, self._timeout_s = send, timeout_s
        self._waiting: dict[int, asyncio.Future[CommandResult]] = {}
        # A random start: a late answer to the process before this one must not fit a command of this one.
        self._id = secrets.randbits(48)

    def link(self, server: Server) -> None:
        """Let the methods of the object Station ask here."""
        for method, work in (
            (SET_MODE, self.set_mode),
            (RESET_FAILSAFE, self.reset_failsafe),
            (CHANGE_RECIPE, self.change_recipe),
            (START_JOB, self.start_job),
        ):
            server.iserver.isession.add_method_callback(_method_id(method), _served(method, work))

    def answered(self, result: CommandResult) -> None:
        """The station's word on a command; one that nobody waits for any more is ignored."""
        waiter = self._waiting.get(result.id)
        if waiter is not None and not waiter.done():
            waiter.set_result(result)

    async def set_mode(self, mode: int, who: str, why: str) -> Answer:
        """Ask for another mode. Raising it needs a signature: an engineer's name over an encrypted session."""
        if mode not in tuple(Mode):
            return False, f"mode {mode} is none of 1 SHADOW, 2 ALERT, 3 AUTO_REJECT"
        caller, name = CALLER.get(), asking(who)
        signed = caller.signs and caller.may(Role.ENGINEER)
        return _refusal(who=name, why=why) or await self._ask(lambda id: SetMode(id, mode, name, why, signed))

    async def reset_failsafe(self, who: str) -> Answer:
        """Ask to leave failsafe."""
        name = asking(who)
        return _refusal(who=name) or await self._ask(lambda id: ResetFailsafe(id, name))

    async def change_recipe(self, product: str, who: str) -> Answer:
        """Ask for another product."""
        name = asking(who)
        return _refusal(product=product, who=name) or await self._ask(lambda id: ChangeRecipe(id, product, name))

    async def start_job(self, part_id: str, who: str) -> Answer:
        """Ask for one part to be inspected now."""
        name = asking(who)
        return _refusal(who=name) or await self._ask(lambda id: StartJob(id, part_id[:LONGEST_TEXT], name))

    async def request(self, command: Callable[[int], StatusCommand]) -> CommandResult:
        """Hand a command to the station and wait, for a bounded time, for what becomes of it."""
        if len(self._waiting) >= MOST_WAITING:
            return CommandResult(0, False, "too many commands wait for the station already")
        self._id += 1
        number = self._id
        waiter = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            if not self._send(command(number)):
                return CommandResult(number, False, "the station cannot be reached")
            async with asyncio.timeout(self._timeout_s):
                return await waiter
        except TimeoutError:
            why = f"the station did not answer within {self._timeout_s:g} s; it may still obey"
            return CommandResult(number, False, why)
        finally:
            del self._waiting[number]

    async def _ask(self, command: Callable[[int], StatusCommand]) -> Answer:
        result = await self.request(command)
        return result.ok, result.why


def asking(who: str) -> str:
    """Who asks, for the journal: the name that logged in, and on whose behalf where that is another one."""
    name, other = caller_name(), who.strip()
    return name if other in ("", name) else f"{name} for {other}"


def one_line(text: str) -> str:
    """A client's text without control characters: it stands in journal and log, where a line is an entry."""
    return text.translate(_CONTROLS).strip()


def _refusal(**texts: str) -> Answer | None:
    for name, text in texts.items():
        if not text.strip():
            return False, f"{name} must not be empty"
        if len(text) > LONGEST_TEXT:
            return False, f"{name} must not be longer than {LONGEST_TEXT} characters"
    return None


def _method_id(method: StatusMethod) -> ua.NodeId:
    return ua.NodeId.from_string(node_id(f"Station.{method.name}"))


def _served(method: StatusMethod, work: Callable[..., Awaitable[Answer]]) -> Callable[..., Any]:
    """The method as asyncua calls it: with the object's id and one variant per argument, in any number and type."""
    empties = [kind.empty for _, kind, _ in method.inputs]

    async def serve(_parent: ua.NodeId, *variants: ua.Variant) -> Any:
        if len(variants) < len(empties):
            return ua.StatusCode(ua.UInt32(StatusCodes.BadArgumentsMissing))
        if len(variants) > len(empties):
            return ua.StatusCode(ua.UInt32(StatusCodes.BadTooManyArguments))
        given = [empty if v.Value is None else v.Value for empty, v in zip(empties, variants, strict=True)]
        # A bool is an int in Python, and would be mode 1.
        if any(type(value) is not type(empty) for value, empty in zip(given, empties, strict=True)):
            return ua.StatusCode(ua.UInt32(StatusCodes.BadInvalidArgument))
        ok, why = await work(*(one_line(value) if isinstance(value, str) else value for value in given))
        return [ua.Variant(ok, ua.VariantType.Boolean), ua.Variant(why, ua.VariantType.String)]

    return serve


def _argument(name: str, kind: ua.VariantType, text: str) -> ua.Argument:
    return ua.Argument(
        Name=name,
        DataType=ua.NodeId(ua.Int32(kind.value)),
        ValueRank=ua.Int32(-1),
        Description=ua.LocalizedText(text),
    )
