"""A catalogue as catalogue.toml, for tools that choose its confidences."""

from __future__ import annotations

import json

from models.catalogue import Catalogue


def catalogue_text(catalogue: Catalogue) -> str:
    """TOML that load_catalogue reads back to the same catalogue. Comments of an earlier file are not kept."""
    lines = [f"schema = {catalogue.schema_}", f"product = {_text(catalogue.product)}", "", "[costs]"]
    lines += [f"{name} = {_number(value)}" for name, value in catalogue.costs.model_dump().items()]
    for kind in catalogue.defects:
        lines += [
            "",
            "[[defects]]",
            f"name = {_text(kind.name)}",
            f"code = {kind.code}",
            f'measure = "{kind.measure}"',
            f"min_confidence = {_number(kind.min_confidence)}",
            f"sure_confidence = {_number(kind.sure_confidence)}",
            f"unsure_margin = {_number(kind.unsure_margin)}",
            f"reference_images = [{', '.join(map(_text, kind.reference_images))}]",
        ]
        for limit in kind.severities:
            lines += [
                "",
                "[[defects.severities]]",
                f'severity = "{limit.severity}"',
                f"above = {_number(limit.above)}",
                f'verdict = "{limit.verdict}"',
            ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, if nothing but ASCII is left unescaped the same way in both.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    return repr(float(value))
