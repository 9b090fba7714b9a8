"""`linegate data`: label files of other tools into a set of our own, checked, split, shown, compared."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.lifecycle.data.complaint import Complaint
    from models.lifecycle.data.parts import PartOf
    from models.lifecycle.data.sample import Sample

DONE, COMPLAINED, BAD_INPUT = 0, 1, 2
_EXIT = "exit codes: 0 done, 1 the check found what must not be, 2 the input is wrong"
_FORMATS = ("auto", "voc", "yolo", "coco", "cvat", "masks", "folders", "sagemaker", "table")

Run = Callable[[argparse.Namespace], int]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `linegate data`."""
    data = commands.add_parser(
        "data",
        help="labelled pictures: import, check, split, show, compare",
        description="Labelled pictures in a folder with a manifest of their own: versions, splits, a sealed test.",
        epilog=f"example: linegate data import export/ --out tiles --catalogue catalogue.toml   ({_EXIT})",
    )
    actions = data.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_import(actions)
    check = _add(actions, "check", "labels, duplicates, leaks, counts; each finding with its cure", _check, "tiles")
    check.add_argument("--catalogue", type=Path, metavar="FILE", help="every class must be a defect type of it")
    check.add_argument("--quick", action="store_true", help="without the search for near duplicates")
    check.add_argument("--json", action="store_true", help="findings as a JSON list")
    split = _add(actions, "split", "deal parts out to train, validation, test (70/15/15)", _split, "tiles --seed 1")
    split.add_argument("--seed", type=int, default=1, help="of the dealing (default 1)")
    split.add_argument("--keep", action="store_true", help="parts that have a split stay in it")
    show = _add(actions, "show", "what is in a set, its versions, the uses of its test split", _show, "tiles")
    show.add_argument("--json", action="store_true", help="for programs")
    diff = _add(actions, "diff", "what changed between two versions", _diff, "tiles --since 3f9a02c1b7de")
    diff.add_argument("--since", required=True, metavar="VERSION|SET", help="an earlier version, or another set")
    diff.add_argument("--json", action="store_true", help="for programs")


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]
    name: str,
    what: str,
    run: Run,
    example: str,
) -> argparse.ArgumentParser:
    epilog = f"example: linegate data {name} {example}   ({_EXIT})"
    action = actions.add_parser(name, help=what, description=what, epilog=epilog)
    action.add_argument("set", type=Path, metavar="SET", help="folder with manifest.csv")
    action.set_defaults(run=guarded(run))
    return action


def _add_import(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    what = "labels of another tool into a set; into an existing one as a new version"
    example = "example: linegate data import export/ --out tiles --part-pattern 'tile_(\\d+)' --map MT_Crack=crack"
    add = actions.add_parser("import", help=what, description=what, epilog=f"{example}   ({_EXIT})")
    add.add_argument("source", type=Path, metavar="FOLDER", help="as the labelling tool exported it, with the pictures")
    add.add_argument(
        "--out", type=Path, required=True, metavar="SET", help="folder of the set; made where it is missing"
    )
    add.add_argument("--format", choices=_FORMATS, default="auto", help="default: look")
    add.add_argument("--catalogue", type=Path, metavar="FILE", help="refuse classes that it does not know")
    add.add_argument("--map", action="append", default=[], metavar="NAME=DEFECT", help="the tool's name for a defect")
    add.add_argument("--good", action="append", default=[], metavar="NAME", help="one more name of good parts")
    add.add_argument(
        "--empty", choices=("refuse", "good", "leave-out"), default="refuse", help="pictures without label"
    )
    add.add_argument("--mask-class", default="", metavar="DEFECT", help="what masks show where nothing else says it")
    add.add_argument("--keep-splits", action="store_true", help="take the tool's train, validation, test over")
    part = add.add_mutually_exclusive_group()
    part.add_argument("--part-pattern", metavar="REGEX", help="its one group names the part in a picture's path")
    part.add_argument("--part-folder", action="store_true", help="pictures of one folder are of one part or batch")
    part.add_argument("--parts", type=Path, metavar="FILE.csv", help="a table with the columns file and batch")
    add.set_defaults(run=guarded(_import))


def guarded(run: Run) -> Run:
    """The command with wrong input told in one place: complaints to standard error, exit code 2."""

    def guard(args: argparse.Namespace) -> int:
        from models.errors import ModelError

        try:
            return run(args)
        except (ModelError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return BAD_INPUT
        except ImportError as error:
            sys.stderr.write(f"{error}: pip install 'linegate[train]'\n")
            return BAD_INPUT

    return guard


def _import(args: argparse.Namespace) -> int:
    from functools import partial

    from models.lifecycle.data.importing import import_into
    from models.lifecycle.data.settle import Rules
    from models.lifecycle.data.sources.formats import FORMATS, recognise
    from models.lifecycle.data.sources.masks import read_masks
    from models.lifecycle.data.sources.table import GOOD_NAMES

    chosen = recognise(args.source) if args.format == "auto" else args.format
    read = partial(read_masks, defect=args.mask_class) if chosen == "masks" else FORMATS[chosen]
    rules = Rules(
        good_names=(*GOOD_NAMES, *(name.lower() for name in args.good)),
        rename=_renames(args.map),
        known=_known(args.catalogue),
        empty=args.empty,
    )
    why = f"{chosen} imported from {args.source.name}"
    done = import_into(
        args.out, args.source, read(args.source), rules, part_of=_part_of(args), keep_splits=args.keep_splits, why=why
    )
    print(f"{chosen}: {done.added} pictures added, {done.relabelled} labelled anew, {done.left_out} left out")
    print(f"{args.out}: version {done.made.version[:12]}, {len(done.made.samples)} pictures")
    _tell(_counts(args.out, done.made.samples, args.catalogue))
    return DONE


def _part_of(args: argparse.Namespace) -> PartOf | None:
    from models.lifecycle.data.parts import by_folder, by_pattern, by_table

    if args.part_pattern:
        return by_pattern(args.part_pattern)
    if args.parts:
        return by_table(args.parts)
    return by_folder if args.part_folder else None


def _renames(pairs: Sequence[str]) -> dict[str, str]:
    from models.lifecycle.data.complaint import Complaint, DatasetError

    for pair in pairs:
        if not all(pair.partition("=")):
            raise DatasetError(Complaint("--map", "NAME=DEFECT", pair, "write the tool's name, =, and the defect type"))
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def _known(catalogue: Path | None) -> list[str] | None:
    from models.catalogue import load_catalogue

    return None if catalogue is None else [defect.name for defect in load_catalogue(catalogue).defects]


def _counts(root: Path, samples: Sequence[Sample], catalogue: Path | None) -> list[Complaint]:
    from models.catalogue import load_catalogue
    from models.lifecycle.data.checks import check_counts

    return check_counts(str(root), samples, load_catalogue(catalogue) if catalogue else None)


def _check(args: argparse.Namespace) -> int:
    from models.catalogue import load_catalogue
    from models.lifecycle.data.checks import check_labels
    from models.lifecycle.data.duplicates import looks_of, near_duplicates, same_bytes, twins_complaints
    from models.lifecycle.data.manifest import check_files, parse_manifest

    # Not open_set: a set that leaks is to be told about, with everything else that is wrong.
    file = args.set / "manifest.csv"
    samples = parse_manifest(file.read_text(encoding="utf-8"), str(file))
    check_files(args.set, samples)
    catalogue = load_catalogue(args.catalogue) if args.catalogue else None
    complaints = [*check_labels(args.set, samples, catalogue), *same_bytes(samples)]
    complaints += _counts(args.set, samples, args.catalogue)
    if not args.quick:
        looks = looks_of(args.set, samples, _counter(len(samples)))
        complaints += twins_complaints(near_duplicates(samples, looks))
    grave = sum(complaint.grave for complaint in complaints)
    if args.json:
        print(json.dumps([asdict(complaint) | {"value": str(complaint.value)} for complaint in complaints], indent=2))
    else:
        _tell(complaints)
        print(f"{len(samples)} pictures: {grave} errors, {len(complaints) - grave} warnings")
    return COMPLAINED if grave else DONE


def _counter(total: int) -> Callable[[int], None]:
    shown = sys.stderr.isatty()

    def progress(done: int) -> None:
        if shown:
            sys.stderr.write(f"\rcomparing pictures: {done} of {total}" + ("\n" if done == total else ""))

    return progress


def _tell(complaints: Sequence[Complaint]) -> None:
    for complaint in complaints:
        print(f"{'error' if complaint.grave else 'warning'}: {complaint}")


def _split(args: argparse.Namespace) -> int:
    from models.lifecycle.data.labelled_set import open_set, save_set
    from models.lifecycle.data.splits import divide

    before = open_set(args.set)
    uses = before.test_uses()
    made = save_set(args.set, divide(before.samples, args.seed, keep=args.keep), f"split with seed {args.seed}")
    if uses and made.test_version != before.test_version:
        print(f"warning: test splits of this set were looked at {len(uses)} times; only parts that are new are unseen")
    _print_table(made.samples)
    print(f"{args.set}: version {made.version[:12]}")
    _tell(_counts(args.set, made.samples, None))
    return DONE


def _show(args: argparse.Namespace) -> int:
    from models.lifecycle.data.labelled_set import history, open_set

    shown = open_set(args.set, prove=False)
    past, uses = history(args.set), shown.test_uses()
    if args.json:
        content = {
            "version": shown.version,
            "test_version": shown.test_version,
            "pictures": len(shown.samples),
            "counts": _table(shown.samples),
            "history": [asdict(change) for change in past],
            "test_uses": [asdict(use) for use in uses],
        }
        print(json.dumps(content, indent=2, ensure_ascii=False))
        return DONE
    recorded = past and past[-1].version == shown.version
    print(f"{args.set}: version {shown.version[:12]}" + ("" if recorded else ", changed by hand: not in the history"))
    _print_table(shown.samples)
    for change in past:
        print(f"  {change.version[:12]}  {change.at}  {change.pictures:5} pictures, {change.good} good  {change.why}")
    same = sum(use.version == shown.test_version for use in uses)
    print(f"test split {shown.test_version[:12]}: used {same} times, earlier ones {len(uses) - same} times")
    for use in uses:
        print(f"  {use.version[:12]}  {use.at}  {use.by}: {use.purpose}")
    return DONE


def _table(samples: Sequence[Sample]) -> dict[str, dict[str, int]]:
    """Pictures by class and split; good parts under "good"."""
    rows: dict[str, Counter[str]] = {}
    for sample in samples:
        for name in sample.classes or ("good",):
            rows.setdefault(name, Counter())[sample.split.value or "none"] += 1
    return {name: dict(rows[name]) for name in sorted(rows)}


def _print_table(samples: Sequence[Sample]) -> None:
    columns = ("train", "validation", "test", "none")
    print(f"  {'':24}" + "".join(f"{column:>12}" for column in columns))
    for name, counts in _table(samples).items():
        print(f"  {name:24}" + "".join(f"{counts.get(column, 0):12}" for column in columns))


def _diff(args: argparse.Namespace) -> int:
    from models.lifecycle.data.difference import difference
    from models.lifecycle.data.labelled_set import open_set, version_at

    after = open_set(args.set, prove=False).samples
    other = Path(args.since)
    before = open_set(other, prove=False).samples if other.is_dir() else version_at(args.set, args.since)
    found = asdict(difference(before, after))
    if args.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return DONE
    for what, images in found.items():
        if images:
            print(f"{what.replace('_', ' ')}: {len(images)}")
            print("".join(f"  {image}\n" for image in images[:20]) + ("  …\n" if len(images) > 20 else ""), end="")
    if not any(found.values()):
        print("nothing changed")
    return DONE
