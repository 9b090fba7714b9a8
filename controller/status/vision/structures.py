"""Values of the Machine Vision model's data types, made from plain ones."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from asyncua import ua

from controller.status.messages import PartEnded
from controller.status.vision.recipes import RecipeEntry
from statemachines.jobs import REPLAY
from statemachines.vocabulary import Reason


class ResultState(IntEnum):
    """OPC 40100-1, 12.9: how far a result has got."""

    UNDEFINED = 0
    COMPLETED = 1
    PROCESSING = 2
    ABORTED = 3
    FAILED = 4


UNDECIDED_AND_UNANSWERED = {Reason.DISABLED.name, Reason.LOST.name, Reason.MISSED.name, Reason.SUPERSEDED.name}


def make(data_type: str, **fields: Any) -> Any:
    """A value of a generated data type."""
    return getattr(ua, data_type)(**fields)


def job_id(key: str) -> Any:
    return make("JobIdDataType", Id=key)


def result_id(key: str) -> Any:
    return make("ResultIdDataType", Id=key)


def meas_id(text: str) -> Any:
    return make("MeasIdDataType", Id=text)


def part_id(text: str) -> Any:
    return make("PartIdDataType", Id=text)


def product_id(product: str) -> Any:
    return make("ProductIdDataType", Id=product)


def external_recipe(product: str, digest: bytes = b"") -> Any:
    return make("RecipeIdExternalDataType", Id=product, **_hash(digest))


def internal_recipe(product: str, digest: bytes = b"") -> Any:
    return make("RecipeIdInternalDataType", Id=product, **_hash(digest))


def recipe_of(entry: RecipeEntry) -> Any:
    return internal_recipe(entry.product, entry.digest)


def configuration_id(hash_hex: str) -> Any:
    """What the station ran with: the hash that covers everything which can change a verdict."""
    return make("ConfigurationIdDataType", Id=hash_hex[:12], **_hash(_bytes(hash_hex)))


def utc(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC)


def result_state(reason: str, verdict: str) -> ResultState:
    """COMPLETED: decided. ABORTED: nobody was to have it any more. FAILED: no decision."""
    if reason in UNDECIDED_AND_UNANSWERED:
        return ResultState.ABORTED
    return ResultState.FAILED if verdict == "NO_DECISION" else ResultState.COMPLETED


def content(part: PartEnded) -> list[ua.Variant]:
    """ResultContent: verdict, reason, action, score, why, then one line for each finding."""
    lines = [part.verdict, part.reason, part.action]
    return [
        *(ua.Variant(line, ua.VariantType.String) for line in lines),
        ua.Variant(part.score, ua.VariantType.Double),
        *(ua.Variant(line, ua.VariantType.String) for line in (part.why, *part.findings)),
    ]


def meas_name(part: PartEnded) -> str:
    """What the client calls its measurement; the part's number where nobody gave it a name."""
    return part.meas_id or part.key.rpartition("/")[2]


def result_fields(part: PartEnded) -> dict[str, Any]:
    """Every field that ResultDataType, ResultType and the ResultReady event have in common."""
    product, digest = part.product, _bytes(part.recipe_hash)
    times = make(
        "ProcessingTimesDataType",
        StartTime=utc(part.began_wall_ns),
        EndTime=utc(part.ended_wall_ns),
        AcquisitionDuration=part.capture_us / 1000,
        ProcessingDuration=part.processing_us / 1000,
    )
    return {
        "ResultId": result_id(part.key),
        "IsPartial": False,
        "IsSimulated": part.key.split("/")[1:2] == [REPLAY],
        "ResultState": int(result_state(part.reason, part.verdict)),
        "MeasId": meas_id(meas_name(part)),
        "PartId": part_id(part.part_id),
        "ExternalRecipeId": external_recipe(product, digest),
        "InternalRecipeId": internal_recipe(product, digest),
        "ProductId": product_id(product),
        "InternalConfigurationId": configuration_id(part.recipe_hash),
        "JobId": job_id(part.key),
        "CreationTime": utc(part.ended_wall_ns),
        "ProcessingTimes": times,
        "ResultContent": content(part),
    }


def _hash(digest: bytes) -> dict[str, Any]:
    return {"Hash": digest, "HashAlgorithm": "SHA-256"} if digest else {}


def _bytes(hash_hex: str) -> bytes:
    try:
        return bytes.fromhex(hash_hex)
    except ValueError:
        return b""
