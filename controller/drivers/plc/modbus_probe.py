"""Before a Modbus link counts as connected: every register is there, may be written, and holds what it should.

Modbus knows no names and no types, so a wrong base address or word order shows only in the values. A refusal names the
tag, its registers and the cure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from controller.drivers.plc.modbus_channel import Channel, Refusal
from controller.drivers.plc.modbus_layout import (
    READ_LIMIT,
    WRITE_LIMIT,
    Layout,
    Place,
    RegisterMap,
    extent,
    runs,
    span,
)
from controller.drivers.plc.modbus_words import Kind
from controller.errors import ConfigError, DeviceRefused, DeviceTimeout
from controller.ports import TagReport
from statemachines.vocabulary import Ns

_UNTOUCHED = frozenset({"SessionId", "ResultSeq", "Result.TriggerId"})
"""Never written back: should the PLC start anew meanwhile, they would show it a session or an answer of yesterday."""
_CLOCK_LOOKS = 4
_CLOCK_PAUSE_S = 0.01
_FAST_MS = 60_000
"""A clock that moves by more than this in the time of a few requests is read in the wrong word order."""


class Probe:
    """One pass over all registers of a fresh connection."""

    def __init__(self, channel: Channel, device: str, registers: RegisterMap, made: Layout) -> None:
        self._channel, self._device, self._registers, self._layout = channel, device, registers, made

    async def run(self, deadline: Ns, *, looking: bool = False) -> None:
        """Raises ConfigError for what can never work, DeviceError for what fails now. looking: write nothing."""
        for run in runs(self._layout.from_plc, READ_LIMIT):
            self._check_bits(run, await self._read(run, deadline))
        started_ns, clock = time.monotonic_ns(), await self._clock(deadline)
        for run in runs(self._layout.to_plc, WRITE_LIMIT):
            registers = await self._read(run, deadline)
            if not looking:
                await self._write_back(run, registers, deadline)
        await self._check_word_order(started_ns, clock, deadline)

    async def survey(self, deadline: Ns) -> tuple[TagReport, ...]:
        """Every tag's registers as they are, whatever is wrong with the others; writes nothing. Raises DeviceError."""
        problems: dict[str, str] = {}
        inward, outward = self._layout.from_plc, self._layout.to_plc
        for run in (*runs(inward, READ_LIMIT), *runs(outward, READ_LIMIT)):
            problems |= await self._problems(run, deadline)
        if not problems:
            started_ns = time.monotonic_ns()
            try:
                await self._check_word_order(started_ns, await self._clock(deadline), deadline)
            except ConfigError as error:
                problems["PlcClockMs"] = str(error)
        # Modbus tells whether a register may be written only to who writes it.
        return tuple(
            TagReport(
                place.name,
                span(place.address, place.words),
                place.kind.value,
                "readable" if place.name not in problems else "",
                problems.get(place.name, ""),
                "writing it is tried when a station connects" if place in outward else "",
            )
            for place in (*inward, *outward)
        )

    async def _problems(self, run: Sequence[Place], deadline: Ns) -> dict[str, str]:
        """What is wrong with the tags of a run, by name."""
        try:
            registers = await self._channel.read(*extent(run), deadline)
        except Refusal as refusal:
            if len(run) == 1:
                return {run[0].name: f"{run[0].title} not read: {refusal}"}
            return {name: why for place in run for name, why in (await self._problems((place,), deadline)).items()}
        found: dict[str, str] = {}
        for place in run:
            try:
                self._layout.words.unpack(place.kind, registers, place.address - run[0].address)
            except ValueError as error:
                found[place.name] = f"{place.title} {error}: are its area, word_order and profile right?"
        return found

    async def _read(self, run: Sequence[Place], deadline: Ns) -> Sequence[int]:
        address, count = extent(run)
        try:
            return await self._channel.read(address, count, deadline)
        except Refusal as refusal:
            error = await refused_read(self._channel, self._device, run, refusal, deadline)
            raise self._lasting(error, refusal, "check the base address and the size of the area") from refusal

    async def _write_back(self, run: Sequence[Place], registers: Sequence[int], deadline: Ns) -> None:
        """Write what is there already: only so does a server tell whether it can be written."""
        start = run[0].address
        for part in runs((place for place in run if place.tag.name not in _UNTOUCHED), WRITE_LIMIT):
            packed = [list(registers[place.address - start : place.end - start]) for place in part]
            try:
                await self._channel.write(part[0].address, [word for words in packed for word in words], deadline)
            except Refusal as refusal:
                error = await refused_write(self._channel, self._device, part, packed, refusal, deadline)
                raise self._lasting(error, refusal, "let the station write this area (function 16)") from refusal

    def _lasting(self, error: DeviceRefused, refusal: Refusal, cure: str) -> ConfigError | DeviceRefused:
        return ConfigError(self._device, "[plc.registers]", error.what, cure) if refusal.lasting else error

    def _check_bits(self, run: Sequence[Place], registers: Sequence[int]) -> None:
        for place in run:
            if place.kind is Kind.BOOL:
                try:
                    self._layout.words.unpack(place.kind, registers, place.address - run[0].address)
                except ValueError as error:
                    cure = f"{place.name} ({place.title}): are plc_to_station and profile right?"
                    raise ConfigError(self._device, "plc_to_station", str(error), cure) from error

    async def _clock(self, deadline: Ns) -> int:
        """PlcClockMs as 32 bits."""
        place = next(place for _, place in self._layout.head if place.tag.name == "PlcClockMs")
        value = self._layout.words.unpack(place.kind, await self._read((place,), deadline), 0)
        return int(value) & 0xFFFF_FFFF

    async def _check_word_order(self, started_ns: int, before: int, deadline: Ns) -> None:
        """A clock whose halves are swapped leaps by 65536 a millisecond. One that stands still proves nothing."""
        for _ in range(_CLOCK_LOOKS):
            now = await self._clock(deadline)
            if now != before:
                break
            await asyncio.sleep(_CLOCK_PAUSE_S)
        else:
            return
        elapsed_ms = (time.monotonic_ns() - started_ns) // 1_000_000
        swapped = (_swapped(now) - _swapped(before)) & 0xFFFF_FFFF
        if _FAST_MS < (now - before) & 0xFFFF_FFFF < (1 << 32) - _FAST_MS and swapped <= 2 * elapsed_ms + 1000:
            other = "little" if self._registers.word_order == "big" else "big"
            cure = f'PlcClockMs leaps by 65536 a millisecond: set word_order = "{other}"'
            raise ConfigError(self._device, "word_order", self._registers.word_order, cure)


async def refused_read(
    channel: Channel, device: str, run: Sequence[Place], refusal: Refusal, deadline: Ns
) -> DeviceRefused:
    """The error for a refused read, naming the first tag that cannot be read on its own."""
    for place in run:
        try:
            await channel.read(place.address, place.words, deadline)
        except Refusal as single:
            return DeviceRefused(device, f"{place.name} ({place.title}) not read: {single}")
        except DeviceTimeout:
            break
    return DeviceRefused(device, f"{_range(run)} not read: {refusal}")


async def refused_write(
    channel: Channel,
    device: str,
    run: Sequence[Place],
    packed: Sequence[list[int]],
    refusal: Refusal,
    deadline: Ns,
) -> DeviceRefused:
    """The error for a refused write, naming the first tag that cannot be written on its own.

    Tried with the values that were to be written anyway; none of a block means anything without its ResultSeq.
    """
    for place, registers in zip(run, packed, strict=True):
        try:
            await channel.write(place.address, registers, deadline)
        except Refusal as single:
            return DeviceRefused(device, f"{place.name} ({place.title}) not written: {single}")
        except DeviceTimeout:
            break
    return DeviceRefused(device, f"{_range(run)} not written: {refusal}")


def _range(run: Sequence[Place]) -> str:
    return f"{run[0].name} to {run[-1].name} ({run[0].title} to {run[-1].title})"


def _swapped(bits: int) -> int:
    return (bits & 0xFFFF) << 16 | bits >> 16
