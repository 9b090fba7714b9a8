"""The change of product: asked for by the PLC or a person, loaded or refused."""

from __future__ import annotations

from dataclasses import replace

from statemachines import health, line
from statemachines.commands import LoadRecipe, RecordEvent
from statemachines.events import PlcRead, RecipeLoaded, RecipeRefused, RecipeRequested
from statemachines.station.reports import VIEW, with_report
from statemachines.station.state import RECIPE_LOADED, RECIPE_LOADING, RECIPE_REFUSED, Station, Step
from statemachines.view_watch import ViewWatch
from statemachines.vocabulary import FaultCode, Health

RECIPE = "recipe"
"""Source of the report that a recipe was refused."""


def recipe_asked_by_plc(station: Station, event: PlcRead) -> Step:
    """The PLC asks for a product by raising RecipeRequestSeq; asked for what is loaded, it is told so.

    The order inside a read is undefined: a new RecipeRequestSeq may come with the RecipeRequest of before. Only what
    two reads show alike is a request. A restarted PLC counts anew: what its predecessor was told is no answer to it.
    """
    head, epoch = event.head, station.handshake.plc_epoch
    if epoch != station.recipe_epoch:
        station = replace(station, recipe_epoch=epoch, recipe_ack=0)
    asked = (head.recipe_request_seq, head.recipe_request)
    if asked != station.recipe_asked:
        return replace(station, recipe_asked=asked), ()
    if head.recipe_request_seq in (0, station.recipe_ack) or station.recipe_wanted:
        return station, ()
    if station.recipe is not None and head.recipe_request == station.recipe.id:
        return replace(station, recipe_ack=head.recipe_request_seq, recipe_status=RECIPE_LOADED), ()
    return _want_recipe(station, LoadRecipe(head.recipe_request, "", head.recipe_request_seq, "plc"))


def recipe_requested(station: Station, event: RecipeRequested) -> Step:
    """A person asks for a product. One load at a time."""
    if station.recipe_wanted:
        detail = {"refused": event.product, "why": "another recipe is being loaded"}
        return station, (RecordEvent(event.at, "recipe", event.who, detail),)
    return _want_recipe(station, LoadRecipe(0, event.product, station.recipe_ack, event.who))


def _want_recipe(station: Station, load: LoadRecipe) -> Step:
    wanted = replace(station, recipe_wanted=True, recipe_wanted_epoch=station.recipe_epoch)
    return replace(wanted, recipe_status=RECIPE_LOADING), (load,)


def recipe_loaded(station: Station, event: RecipeLoaded) -> Step:
    """It is in force from the next part on; the first one starts the line."""
    current = station.line
    if current.state == "starting":
        current = line.run(current, current.mode)
    latch = station.latch
    if latch.code is FaultCode.MODEL_UNUSABLE:
        latch = health.clear_cause(latch)
    # What was said of views was said of those of the recipe before.
    kept = (source for source in station.reports if source != RECIPE and not source.startswith(VIEW))
    reports = {source: station.reports[source] for source in kept}
    station = _recipe_answered(station, event.request_seq, RECIPE_LOADED)
    station = replace(station, recipe=event.recipe, line=current, latch=latch, reports=reports, views=ViewWatch())
    detail = {"loaded": event.recipe.product, "id": event.recipe.id, "hash": event.recipe.hash}
    return station, (RecordEvent(event.at, "recipe", "", detail),)


def recipe_refused(station: Station, event: RecipeRefused) -> Step:
    """The one before stays in force; why is in the journal and in the health text until a recipe is loaded."""
    station = _recipe_answered(station, event.request_seq, RECIPE_REFUSED)
    station = with_report(station, RECIPE, Health.CHECK_FUNCTION, f"recipe refused: {event.why}")
    return station, (RecordEvent(event.at, "recipe", "", {"refused": event.request_seq, "why": event.why}),)


def _recipe_answered(station: Station, request_seq: int, status: int) -> Station:
    """The request is settled; one from before the PLC's restart is none that it knows of."""
    ack = request_seq if station.recipe_wanted_epoch == station.recipe_epoch else station.recipe_ack
    return replace(station, recipe_ack=ack, recipe_status=status, recipe_wanted=False)
