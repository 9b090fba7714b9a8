"""`linegate model validate`: a model's answers on the sealed test split as a report to defend."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli_data import COMPLAINED, DONE, guarded

if TYPE_CHECKING:
    from models.lifecycle.validate.validation import Ask

_EXIT = "exit codes: 0 done, 1 INT8 loses more than the gate allows, 2 the input is wrong"


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `validate` to the verbs of `linegate model`."""
    example = (
        "example: linegate model validate tiles --catalogue catalogue.toml --package packages/tile/1.0.0 --out report"
    )
    validate = verbs.add_parser(
        "validate",
        help="a report on the sealed test split, beside inspectors",
        description="Opens the test split once more, writes that down, and makes report.html and report.json of a "
        "package's or a table's answers: rates with exact intervals, curves, galleries, sizes, INT8 against FP32, "
        "people beside it.",
        epilog=f"{example}   ({_EXIT})",
    )
    validate.add_argument("set", type=Path, metavar="SET", help="data set (linegate data)")
    validate.add_argument("--catalogue", type=Path, required=True, metavar="FILE", help="its confidences are the lines")
    answers = validate.add_mutually_exclusive_group(required=True)
    answers.add_argument("--package", type=Path, metavar="DIR", help="a model package: every graph of it is asked")
    answers.add_argument(
        "--predictions", type=Path, metavar="FILE.csv", help="answers of any model: image, graph, score:…"
    )
    validate.add_argument("--inspectors", type=Path, metavar="FILE.csv", help="image, inspector, repeat, judgement")
    validate.add_argument("--mm-per-px", type=float, metavar="MM", help="scale, for errors of sizes")
    validate.add_argument("--recall", type=float, default=0.90, metavar="SHARE", help="to be proven (default 0.90)")
    validate.add_argument(
        "--purpose", default="validation report", help="written down with this look at the test split"
    )
    validate.add_argument(
        "--fact", action="append", default=[], metavar="NAME=TEXT", help="to show: seed, package hash"
    )
    validate.add_argument("--out", type=Path, required=True, metavar="DIR", help="for report.html and report.json")
    validate.set_defaults(run=guarded(_validate))


def _validate(args: argparse.Namespace) -> int:
    from models.catalogue import load_catalogue
    from models.lifecycle.data.labelled_set import open_set
    from models.lifecycle.validate.page import page
    from models.lifecycle.validate.validation import validate

    catalogue = load_catalogue(args.catalogue)
    ask, facts = _package(args) if args.package else _table(args.predictions)
    facts |= {name: text for name, _, text in (fact.partition("=") for fact in args.fact)}
    found = validate(
        open_set(args.set),
        catalogue,
        ask,
        source=str(args.package or args.predictions),
        purpose=args.purpose,
        inspectors=args.inspectors,
        mm_per_px=args.mm_per_px,
        wanted_recall=args.recall,
        facts=facts,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "report.html").write_text(page(found, catalogue, args.set), encoding="utf-8")
    content = json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
    (args.out / "report.json").write_text(content + "\n", encoding="utf-8")
    shown = next(graph for graph in found.graphs if graph.graph == found.shown)
    print(f"{found.shown}: caught {shown.caught}, good parts rejected {shown.rejected}")
    for defect in shown.defects:
        print(f"  {defect.name}: recall {defect.found}, precision {defect.precision}")
    print(f"{args.out / 'report.html'}: look {len(found.uses)} at a test split of this set")
    for loss in found.losses():
        print(f"INT8 loses too much: {loss}")
    return COMPLAINED if found.losses() else DONE


def _package(args: argparse.Namespace) -> tuple[Ask, dict[str, str]]:
    from models.lifecycle.validate.answers import answers_of
    from models.package import open_package

    folder = args.package.resolve()
    package = open_package(folder.parent.parent, folder.parent.name, folder.name)
    facts = {"package": f"{package.manifest.name}@{package.manifest.version}, {package.hash}"}
    return lambda samples: answers_of(package, args.set, samples), facts


def _table(file: Path) -> tuple[Ask, dict[str, str]]:
    """Read before the test split is opened: a table that is wrong shall not cost a look."""
    from models.lifecycle.data.manifest import hash_of
    from models.lifecycle.validate.predictions import read_predictions

    given = read_predictions(file)
    return lambda samples: given, {"predictions": hash_of(file)}
