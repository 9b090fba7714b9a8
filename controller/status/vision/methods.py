"""What clients can call in the Machine Vision model: the state machines, recipes and results. One table at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes
from loguru import logger

from controller.errors import RecordError
from controller.status.commands import CommandDesk
from controller.status.messages import (
    ChangeRecipe,
    HoldStation,
    PartEnded,
    ResetFailsafe,
    Simulate,
    StartJob,
    StartSeries,
    StatusCommand,
    StopJobs,
)
from controller.status.security.caller import caller_name
from controller.status.vision import structures
from controller.status.vision.calls import Error, Refused, Work, link, text
from controller.status.vision.machine import ALLOWED, State
from controller.status.vision.reading import Reading
from controller.status.vision.recipes import RecipeFolder
from controller.status.vision.results import Results, Wanted
from controller.status.vision.system import AUTOMATIC, RECIPES, RESULTS, VISION, VisionSystem, station_node
from statemachines.vocabulary import Hold

MOST_LISTED = 1000
Outputs = Sequence[Any]


class VisionMethods:
    """Answers calls: wishes go to the station, questions to the recipes folder and the journal."""

    def __init__(self, system: VisionSystem, desk: CommandDesk, recipes: RecipeFolder, results: Results | None) -> None:
        self._system, self._desk = system, desk
        self._recipes, self._results = recipes, results
        self._reading = Reading()
        self._handle = 0

    def link(self, server: Server) -> None:
        """Let the method nodes call."""
        for name, work in self.table().items():
            link(server, station_node(name), work)

    def table(self) -> dict[str, Work]:
        """Every method by the string of its node id."""
        return {
            f"{VISION}.Halt": self.halt,
            f"{VISION}.Reset": self.reset,
            f"{VISION}.SelectModeAutomatic": self.select_automatic,
            f"{AUTOMATIC}.StartSingleJob": self.start_single,
            f"{AUTOMATIC}.StartContinuous": self.start_continuous,
            f"{AUTOMATIC}.Stop": self.stop,
            f"{AUTOMATIC}.Abort": self.abort,
            f"{AUTOMATIC}.SimulationMode": self.simulate,
            f"{RECIPES}.GetRecipeListFiltered": self.list_recipes,
            f"{RECIPES}.ReleaseRecipeHandle": self.release,
            f"{RECIPES}.PrepareRecipe": self.prepare_recipe,
            f"{RECIPES}.UnprepareRecipe": self.unprepare_recipe,
            f"{RECIPES}.PrepareProduct": self.prepare_product,
            f"{RECIPES}.UnprepareProduct": self.unprepare_product,
            f"{RECIPES}.AddRecipe": self.add_recipe,
            f"{RECIPES}.RemoveRecipe": self.remove_recipe,
            f"{RESULTS}.GetResultById": self.result_by_id,
            f"{RESULTS}.GetResultComponentsById": self.result_components,
            f"{RESULTS}.GetResultListFiltered": self.list_results,
            f"{RESULTS}.ReleaseResultHandle": self.release,
        }

    # --- the state machines -----------------------------------------------------------------------------------

    async def halt(self, cause: int, description: Any) -> Outputs:
        """Out of inspection until a Reset."""
        self._allowed("Halt")
        return [await self._hold("Halt", Hold.HALTED, _why(cause, description))]

    async def reset(self, cause: int, description: Any) -> Outputs:
        """Back to Preoperational; in Error, ask to leave failsafe."""
        self._allowed("Reset")
        if self._system.state is State.ERROR:
            return [await self._wish("Reset", lambda id: ResetFailsafe(id, caller_name()))]
        return [await self._hold("Reset", Hold.PREOPERATIONAL, _why(cause, description))]

    async def select_automatic(self) -> Outputs:
        """Into automatic mode again, after a Reset."""
        self._allowed("SelectModeAutomatic")
        snapshot = self._system.snapshot
        if snapshot is None or snapshot.hold != Hold.PREOPERATIONAL:
            return [_refused("SelectModeAutomatic", "no person holds the station: the PLC or the start-up does")]
        return [await self._hold("SelectModeAutomatic", Hold.NONE, "automatic mode selected")]

    async def start_single(self, meas: Any, part: Any, recipe: Any, product: Any, parameters: list[Any]) -> Outputs:
        """One part, now."""
        name = self._job("StartSingleJob", part, recipe, product, parameters)
        if name is None:
            return [structures.job_id(""), Error.UNKNOWN]
        measured = text(meas.Id)
        return await self._start("StartSingleJob", lambda id: StartJob(id, name, caller_name(), measured))

    async def start_continuous(self, meas: Any, part: Any, recipe: Any, product: Any, parameters: list[Any]) -> Outputs:
        """Part after part until Stop or Abort."""
        name = self._job("StartContinuous", part, recipe, product, parameters)
        if name is None:
            return [structures.job_id(""), Error.UNKNOWN]
        measured = text(meas.Id)
        return await self._start("StartContinuous", lambda id: StartSeries(id, name, caller_name(), measured))

    async def stop(self, cause: int, description: Any) -> Outputs:
        """No further job; the running one ends as it would."""
        return await self._stop("Stop", False, _why(cause, description))

    async def abort(self, cause: int, description: Any) -> Outputs:
        """No further job, and the running one is given up."""
        return await self._stop("Abort", True, _why(cause, description))

    async def simulate(self, activate: bool, cause: int, description: Any) -> Outputs:
        """Jobs see kept images from now on, or the cameras again."""
        self._allowed("SimulationMode")
        del cause, description
        return [await self._wish("SimulationMode", lambda id: Simulate(id, activate, caller_name()))]

    # Their `timeout` says how long the client will want to have access to what it was given (OPC 40100-1, 7.10.2):
    # every answer is a copy, and stays the client's.

    # --- recipes ----------------------------------------------------------------------------------------------

    async def list_recipes(
        self, external: Any, product: Any, prepared: Any, most: int, first: int, timeout: int
    ) -> Outputs:
        """The recipes that fit, by name."""
        del timeout
        _at_least_none(first)
        entries = await self._reading.within(lambda _: self._recipes.entries())
        names = {text(external.Id), text(product.Id)} - {""}
        in_force = self._in_force()
        found = [
            structures.recipe_of(entry)
            for entry in entries
            if names <= {entry.product} and int(prepared) in (2, int(entry.product == in_force))
        ]
        shown, complete = _page(found, most, first)
        return [complete, len(shown), self._next_handle(), shown, Error.OK]

    async def release(self, handle: int) -> Outputs:
        """Nothing is held for a handle: every list is a copy."""
        return [Error.OK if 1 <= handle <= self._handle else Error.UNKNOWN]

    async def prepare_recipe(self, external: Any, internal: Any) -> Outputs:
        """Change over to a recipe. RecipePrepared says when it is in force."""
        product = text(external.Id) or text(internal.Id)
        error = await self._prepare("PrepareRecipe", product)
        return [structures.internal_recipe(product), False, error]

    async def unprepare_recipe(self, external: Any, internal: Any) -> Outputs:
        """Refused: the station keeps a recipe in force; it is left by preparing another."""
        product = text(external.Id) or text(internal.Id)
        return [structures.internal_recipe(product), self._keeps(product)]

    async def prepare_product(self, product: Any) -> Outputs:
        """Change over to a product: the station has one recipe for each."""
        name = text(product.Id)
        return [structures.internal_recipe(name), await self._prepare("PrepareProduct", name)]

    async def unprepare_product(self, product: Any) -> Outputs:
        """Refused, as for a recipe."""
        name = text(product.Id)
        return [structures.internal_recipe(name), self._keeps(name)]

    async def add_recipe(self, external: Any, product: Any) -> Outputs:
        """A new recipe: a copy of the one in force, or of the product named. Nothing is to be transferred."""
        name, like = text(external.Id), text(product.Id) or self._in_force()
        none = ua.NodeId()
        try:
            entry = await asyncio.to_thread(self._recipes.add, name, like)
        except ValueError as error:
            return [structures.internal_recipe(name), none, none, False, _refused("AddRecipe", str(error))]
        except FileExistsError:
            return [structures.internal_recipe(name), none, none, False, Error.EXISTS]
        except FileNotFoundError:
            return [structures.internal_recipe(name), none, none, False, Error.UNKNOWN]
        except OSError as error:
            logger.error("recipe cannot be added", recipe=name, why=str(error))
            return [structures.internal_recipe(name), none, none, False, Error.UNREADABLE]
        logger.info("recipe added", recipe=name, like=like, who=caller_name())
        return [structures.recipe_of(entry), none, none, False, Error.OK]

    async def remove_recipe(self, external: Any) -> Outputs:
        """Take a recipe out of use; not the one in force."""
        name = text(external.Id)
        if name == self._in_force():
            return [Error.IN_FORCE]
        try:
            await asyncio.to_thread(self._recipes.remove, name)
        except FileNotFoundError:
            return [Error.UNKNOWN]
        except OSError as error:
            logger.error("recipe cannot be removed", recipe=name, why=str(error))
            return [Error.UNREADABLE]
        logger.info("recipe removed", recipe=name, who=caller_name())
        return [Error.OK]

    # --- results ----------------------------------------------------------------------------------------------

    async def result_by_id(self, result: Any, timeout: int) -> Outputs:
        """One result."""
        del timeout
        found, error = await self._find(text(result.Id))
        if found is None:
            return [0, structures.make("ResultDataType"), error]
        return [self._next_handle(), structures.make("ResultDataType", **_with_file(found)), Error.OK]

    async def result_components(self, result: Any, timeout: int) -> Outputs:
        """The same, each component an argument of its own."""
        del timeout
        found, error = await self._find(text(result.Id))
        values = structures.make("ResultDataType", **(_with_file(found) if found is not None else {}))
        names = (
            "IsPartial", "IsSimulated", "ResultState", "MeasId", "PartId", "ExternalRecipeId", "InternalRecipeId",
            "ProductId", "ExternalConfigurationId", "InternalConfigurationId", "JobId", "CreationTime",
            "ProcessingTimes", "ResultContent",
        )  # fmt: skip
        parts = [_or_empty(name, getattr(values, name)) for name in names]
        return [False, self._next_handle() if found is not None else 0, *parts, error]

    async def list_results(
        self, state: int, meas: Any, part: Any, external: Any, internal: Any, _external_configuration: Any,
        configuration: Any, product: Any, job: Any, most: int, first: int, timeout: int,
    ) -> Outputs:  # fmt: skip
        """Results that fit, newest first."""
        del timeout
        _at_least_none(first)
        recipe = text(external.Id) or text(internal.Id) or text(product.Id)
        wanted = Wanted(text(job.Id), text(part.Id), recipe, text(configuration.Id), text(meas.Id))
        results = self._results
        if results is None:
            return [True, 0, 0, [], Error.UNREADABLE]
        count = min(most, MOST_LISTED) if most > 0 else MOST_LISTED

        def read(until: float) -> list[PartEnded]:
            fitting = (
                r for r in results.newest(wanted, until) if state in (0, structures.result_state(r.reason, r.verdict))
            )
            return list(islice(fitting, first, first + count + 1))

        try:
            found = await self._reading.within(read)
        except RecordError as error:
            logger.error("results cannot be read", why=str(error))
            return [True, 0, 0, [], Error.UNREADABLE]
        shown = [structures.make("ResultDataType", **_with_file(result)) for result in found[:count]]
        return [len(found) <= count, len(shown), self._next_handle(), shown, Error.OK]

    # --- what they share --------------------------------------------------------------------------------------

    def _allowed(self, method: str) -> None:
        if self._system.snapshot is None or self._system.state not in ALLOWED[method]:
            raise Refused(StatusCodes.BadInvalidState)

    def _in_force(self) -> str:
        return self._system.snapshot.recipe_product if self._system.snapshot is not None else ""

    def _next_handle(self) -> int:
        self._handle = self._handle % 0x7FFFFFFF + 1
        return self._handle

    def _job(self, method: str, part: Any, recipe: Any, product: Any, parameters: list[Any]) -> str | None:
        """The part's name, or None where the job names a recipe or product that is not prepared."""
        self._allowed(method)
        if parameters:
            raise Refused(StatusCodes.BadInvalidArgument)
        named = {text(recipe.Id), text(product.Id)} - {"", self._in_force()}
        if named:
            _refused(method, f"{', '.join(sorted(named))} is not prepared")
            return None
        return text(part.Id)

    async def _start(self, method: str, command: Callable[[int], StatusCommand]) -> Outputs:
        self._system.granted(method)
        result = await self._desk.request(command)
        if not result.ok:
            return [structures.job_id(""), _refused(method, result.why)]
        return [structures.job_id(result.key), Error.OK]

    async def _stop(self, method: str, abort: bool, why: str) -> Outputs:
        self._allowed(method)
        if not self._system.runs_jobs:
            return [_refused(method, "the PLC runs the parts: take its Enable to 0")]
        return [await self._wish(method, lambda id: StopJobs(id, abort, caller_name(), why))]

    async def _hold(self, method: str, hold: Hold, why: str) -> Error:
        return await self._wish(method, lambda id: HoldStation(id, int(hold), caller_name(), why))

    async def _prepare(self, method: str, product: str) -> Error:
        if not product or await asyncio.to_thread(self._recipes.find, product) is None:
            return Error.UNKNOWN
        return await self._wish(method, lambda id: ChangeRecipe(id, product, caller_name()))

    def _keeps(self, product: str) -> Error:
        return Error.IN_FORCE if product == self._in_force() else Error.UNKNOWN

    async def _wish(self, method: str, command: Callable[[int], StatusCommand]) -> Error:
        # Noted before the station hears of it: its snapshot may overtake its answer.
        self._system.granted(method)
        result = await self._desk.request(command)
        return Error.OK if result.ok else _refused(method, result.why)

    async def _find(self, key: str) -> tuple[PartEnded | None, Error]:
        results = self._results
        if results is None:
            return None, Error.UNREADABLE
        try:
            found = await self._reading.within(lambda _: results.by_id(key))
        except RecordError as error:
            logger.error("result cannot be read", key=key, why=str(error))
            return None, Error.UNREADABLE
        return found, Error.OK if found is not None else Error.UNKNOWN


def _refused(method: str, why: str) -> Error:
    logger.warning("call refused", method=method, why=why, who=caller_name())
    return Error.REFUSED


def _why(cause: int, description: Any) -> str:
    said = text(description)
    return f"{said or 'no reason given'} (cause {cause})"


def _with_file(result: PartEnded) -> dict[str, Any]:
    return {"HasTransferableDataOnFile": False, **structures.result_fields(result)}


def _or_empty(name: str, value: Any) -> Any:
    if value is not None:
        return value
    empties: dict[str, Any] = {
        "IsSimulated": False,
        "MeasId": structures.meas_id(""),
        "PartId": structures.part_id(""),
        "ExternalRecipeId": structures.external_recipe(""),
        "ProductId": structures.product_id(""),
        "ExternalConfigurationId": structures.configuration_id(""),
        "ProcessingTimes": structures.make("ProcessingTimesDataType"),
        "ResultContent": [],
    }
    return empties[name]


def _at_least_none(first: int) -> None:
    """Where a list begins: a negative place is none."""
    if first < 0:
        raise Refused(StatusCodes.BadInvalidArgument)


def _page(found: list[Any], most: int, first: int) -> tuple[list[Any], bool]:
    count = min(most, MOST_LISTED) if most > 0 else MOST_LISTED
    return found[first : first + count], first + count >= len(found)
