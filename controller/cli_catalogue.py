"""`linegate catalogue`: a first catalogue for a product, its check against labelled pictures, its contact sheet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli_data import BAD_INPUT, COMPLAINED, DONE, guarded

if TYPE_CHECKING:
    from models.lifecycle.data.complaint import Complaint

_EXIT = "exit codes: 0 done, 1 the check found what must not be, 2 the input is wrong"
_MEASURES = ("length", "width", "area", "count")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `linegate catalogue`."""
    catalogue = commands.add_parser(
        "catalogue",
        help="defect catalogues: begin one, check it, show it",
        description="What is a defect of a product, how bad by its size in mm, and what it looks like.",
        epilog=f"example: linegate catalogue show catalogue.toml --html sheet.html   ({_EXIT})",
    )
    actions = catalogue.add_subparsers(title="actions", metavar="ACTION", required=True)
    new = actions.add_parser(
        "new",
        help="write a first catalogue",
        description="A first catalogue: defect types by name, or from a data set with its sizes and example pictures. "
        "Its limits tolerate nothing; set them.",
        epilog="example: linegate catalogue new catalogue.toml --product tile --data tiles --mm-per-px 0.05   "
        f"({_EXIT})",
    )
    new.add_argument("catalogue", type=Path, metavar="FILE.toml")
    new.add_argument("--product", required=True, help="its name")
    new.add_argument(
        "--defect", action="append", default=[], metavar="NAME:MEASURE", help=f"measure: {', '.join(_MEASURES)}"
    )
    _add_set(new)
    new.set_defaults(run=guarded(_new))
    check = actions.add_parser(
        "check",
        help="check a catalogue, also against labelled pictures",
        description="Is the catalogue whole? Does every label of a data set map to a defect type, are there reference "
        "images, are there borderline examples at every limit?",
        epilog=f"example: linegate catalogue check catalogue.toml --data tiles --mm-per-px 0.05   ({_EXIT})",
    )
    check.add_argument("catalogue", type=Path, metavar="FILE.toml")
    _add_set(check)
    check.set_defaults(run=guarded(_check))
    show = actions.add_parser(
        "show",
        help="severity matrix, costs, reference images",
        description="The severity matrix in the terminal; with --html a page that shows the reference images too.",
        epilog=f"example: linegate catalogue show catalogue.toml --html sheet.html   ({_EXIT})",
    )
    show.add_argument("catalogue", type=Path, metavar="FILE.toml")
    show.add_argument("--html", type=Path, metavar="FILE", help="write a contact sheet to print")
    show.set_defaults(run=guarded(_show))


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="SET", help="a data set (linegate data)")
    parser.add_argument("--mm-per-px", type=float, metavar="MM", help="scale of its pictures, for sizes in mm")


def _new(args: argparse.Namespace) -> int:
    from models.catalogue import load_catalogue
    from models.lifecycle.data.catalogue_draft import draft, note_on, sizes_in, write_examples
    from models.lifecycle.data.labelled_set import open_set

    if args.catalogue.exists():
        sys.stderr.write(f"{args.catalogue}: is there already: name another file, or remove it\n")
        return BAD_INPUT
    defects: dict[str, str] = {}
    for given in args.defect:
        name, _, measure = given.partition(":")
        if not name or measure not in _MEASURES:
            sys.stderr.write(f"--defect: {given!r}: write NAME:MEASURE, measure one of {', '.join(_MEASURES)}\n")
            return BAD_INPUT
        defects[name] = measure
    labelled = open_set(args.data) if args.data else None
    for name in labelled.classes if labelled else ():
        defects.setdefault(name, "length")
    if not defects:
        sys.stderr.write("no defect type: name some with --defect, or a data set with --data\n")
        return BAD_INPUT
    args.catalogue.parent.mkdir(parents=True, exist_ok=True)
    notes: dict[str, list[str]] = {}
    references: dict[str, list[str]] = {}
    if labelled is not None:
        scale = [] if args.mm_per_px else ["sizes are in pixels: --mm-per-px was not given"]
        for name, measure in defects.items():
            sizes = sizes_in(labelled, name, measure, args.mm_per_px or 1.0)
            notes[name] = [note_on(sizes, measure), *scale]
            references[name] = write_examples(labelled, name, sizes, args.catalogue.parent)
    args.catalogue.write_text(draft(args.product, defects, notes, references), encoding="utf-8")
    load_catalogue(args.catalogue)
    print(f"{args.catalogue}: {len(defects)} defect types. Now set the limits and the costs")
    return DONE


def _check(args: argparse.Namespace) -> int:
    from models.catalogue import load_catalogue
    from models.lifecycle.data.checks import check_counts, check_labels
    from models.lifecycle.data.complaint import Complaint
    from models.lifecycle.data.labelled_set import open_set
    from models.lifecycle.data.sizes import check_borderline

    catalogue, file = load_catalogue(args.catalogue), str(args.catalogue)
    complaints: list[Complaint] = []
    for defect in catalogue.defects:
        if not defect.reference_images:
            cure = "add pictures of it, large and borderline: labels and inspectors need one opinion"
            complaints.append(Complaint(file, f"defects.{defect.name}.reference_images", "", cure, grave=False))
        if any(limit.above == 0 and limit.verdict == "NG" for limit in defect.severities):
            cure = "tolerates nothing, down to one pixel: set what the drawing allows, if it allows anything"
            complaints.append(Complaint(file, f"defects.{defect.name}, above", 0.0, cure, grave=False))
    if args.data:
        labelled = open_set(args.data)
        complaints += check_labels(args.data, labelled.samples, catalogue)
        complaints += check_counts(str(args.data), labelled.samples, catalogue)
        if args.mm_per_px:
            complaints += check_borderline(file, args.data, labelled.samples, catalogue, args.mm_per_px)
        else:
            cure = "give --mm-per-px: without the scale nobody can say which examples are borderline"
            complaints.append(Complaint(str(args.data), "mm per pixel", "", cure, grave=False))
    return _told(file, complaints)


def _told(file: str, complaints: list[Complaint]) -> int:
    grave = sum(complaint.grave for complaint in complaints)
    for complaint in complaints:
        print(f"{'error' if complaint.grave else 'warning'}: {complaint}")
    print(f"{file}: {grave} errors, {len(complaints) - grave} warnings")
    return COMPLAINED if grave else DONE


def _show(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from models.catalogue import load_catalogue
    from models.lifecycle.data.contact_sheet import LEVELS, matrix, sheet

    catalogue = load_catalogue(args.catalogue)
    table = Table(title=f"{catalogue.product} ({catalogue.hash[:12]})")
    for column in ("code", "defect", "measure", *(f"{x}, {getattr(catalogue.costs, x):g}" for x in LEVELS)):
        table.add_column(column)
    for row in matrix(catalogue):
        table.add_row(*row)
    Console().print(table)
    if args.html:
        args.html.write_text(sheet(catalogue, args.catalogue.parent), encoding="utf-8")
        print(f"{args.html}: written")
    return DONE
