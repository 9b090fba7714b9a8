"""The keys of a view that say what it is worth and when it is exposed, and the rules that come of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, model_validator

from controller.strict import Name, Strict
from statemachines.views import ViewPolicy, ViewRule
from statemachines.vocabulary import MS

MOST_VIEWS = 4
"""Views of one part; redundant ones come on top."""

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*@[0-9][A-Za-z0-9_.-]*$")]
CatalogueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.toml$", max_length=100)]


class ViewDuty(Strict):
    """Part of [[views]]: policy, stand-in, time of exposure, further models.

    frame_within_ms: how long after its exposure is due the frame must be here; where the part can do without the view,
    the capture window unless something else is given. encoder_offset: counts from the PLC's trigger to this camera.
    """

    policy: Literal["required", "optional", "redundant"] = "required"
    stands_in_for: Name | None = None
    trigger_delay_ms: Annotated[float, Field(ge=-1000, le=60_000, allow_inf_nan=False)] = 0.0
    encoder_offset: Annotated[int, Field(ge=0, le=2**30)] = 0
    frame_within_ms: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] | None = None
    catalogue: CatalogueName = "catalogue.toml"
    also_models: Annotated[tuple[ModelName, ...], Field(max_length=4)] = ()

    @model_validator(mode="after")
    def _stands_in(self) -> Self:
        if (self.policy == "redundant") != (self.stands_in_for is not None):
            raise ValueError('policy "redundant" and stands_in_for = "VIEW" belong together: give both or neither')
        return self


class View(Protocol):
    """What is asked of a view besides its duty."""

    @property
    def name(self) -> str: ...
    @property
    def camera(self) -> str: ...
    @property
    def policy(self) -> Literal["required", "optional", "redundant"]: ...
    @property
    def stands_in_for(self) -> str | None: ...
    @property
    def trigger_delay_ms(self) -> float: ...
    @property
    def encoder_offset(self) -> int: ...
    @property
    def frame_within_ms(self) -> float | None: ...


def check_views(views: Sequence[View]) -> None:
    """Whether the views of a recipe fit each other. Raises ValueError."""
    by_name = {view.name: view for view in views}
    if len(by_name) < len(views):
        raise ValueError("two views have the same name: give each its own")
    plain = [view for view in views if view.policy != "redundant"]
    if len(plain) > MOST_VIEWS:
        raise ValueError(f"{len(plain)} views without the redundant ones: at most {MOST_VIEWS} are possible")
    if not any(view.policy == "required" for view in views):
        raise ValueError("no view is required: a part that no camera saw would be decided by none")
    for view in views:
        target = by_name.get(view.stands_in_for or view.name)
        if target is None or (target.policy == "redundant" and target is not view):
            known = ", ".join(plain_view.name for plain_view in plain)
            raise ValueError(f"views.{view.name}.stands_in_for = {view.stands_in_for}: name one of {known}")


def view_rules(views: Sequence[View], windows_ms: dict[str, float], capture_window_ms: int) -> tuple[ViewRule, ...]:
    """The core's rules for the views of a recipe, where they are not the plain ones.

    windows_ms: by name, the join window of each camera that the line triggers.
    """
    backed = {view.stands_in_for for view in views}

    def rule(view: View) -> ViewRule:
        window = windows_ms.get(view.camera)
        within = view.frame_within_ms
        if within is None and (view.policy == "optional" or view.name in backed):
            within = capture_window_ms
        return ViewRule(
            name=view.name,
            policy=ViewPolicy(view.policy),
            stands_in_for=view.stands_in_for or "",
            joined=window is not None,
            delay_ns=round(view.trigger_delay_ms * MS),
            encoder_offset=view.encoder_offset,
            slack_ns=round((window or 0) * MS),
            frame_ns=None if within is None else round(within * MS),
        )

    rules = map(rule, views)
    return tuple(rule for rule in rules if rule != ViewRule(rule.name))


def camera_problems(
    views: Sequence[View], cameras: Sequence[str], windows_ms: dict[str, float]
) -> Iterator[tuple[int, str, object, str]]:
    """What is wrong between views and cameras: index of the view, key, value, cure."""
    taken: dict[str, str] = {}
    for index, view in enumerate(views):
        if view.camera not in cameras:
            yield index, "camera", view.camera, f"station.toml has the cameras {', '.join(sorted(cameras))}"
        elif view.camera in windows_ms and view.camera in taken:
            cure = (
                f"view {taken[view.camera]} has it already, and each of its frames is one view: use also_models there"
            )
            yield index, "camera", view.camera, cure
        if view.camera not in windows_ms and view.trigger_delay_ms < 0:
            cure = "a camera that Linegate triggers cannot expose before the part's trigger: give 0 or more"
            yield index, "trigger_delay_ms", view.trigger_delay_ms, cure
        taken[view.camera] = view.name
