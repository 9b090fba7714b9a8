"""`linegate model`: build a package from labelled pictures, sign it, show it, put it on the line and take it back."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from controller import cli_validate
from controller.config import ConfigErrors, load_station
from controller.errors import ConfigError
from models.errors import ModelError, ModelRejected
from models.package import ModelPackage, open_package

DONE, REFUSED, BAD_INPUT = 0, 1, 2

_EXAMPLES = """examples:
  linegate model build tiles/ --catalogue catalogue.toml --name tile --out build/tile
  linegate model import best.onnx --images samples/ --name tile --out packages
  linegate model key build.pem                      (prints the public key for station.toml: inference.trusted_keys)
  linegate model sign build/tile/packages/tile/1.0.0 --key build.pem
  linegate model verify packages/tile/1.0.0 --trusted 3f9a…
  linegate model list packages
  linegate model diff packages/tile/1.0.0 packages/tile/1.1.0
  linegate model benchmark packages/tile/1.0.0
  linegate model validate tiles/ --catalogue catalogue.toml --predictions answers.csv --out report
  linegate model promote tile@1.1.0 --product tile --station station.toml
  linegate model rollback --product tile --station station.toml
exit codes: 0 done, 1 refused (a gate, a signature, a golden image), 2 it makes no sense or a file is wrong
"""


# The type of what add_subparsers() returns has no public name.
def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `model` with its verbs to the program's sub-commands."""
    style = argparse.RawDescriptionHelpFormatter
    model = subparsers.add_parser(
        "model", help="build, sign, show and promote model packages", epilog=_EXAMPLES, formatter_class=style
    )
    verbs = model.add_subparsers(dest="verb", required=True)

    def verb(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        parser = verbs.add_parser(name, help=text, epilog=_EXAMPLES, formatter_class=style)
        parser.set_defaults(run=_guarded(run))
        return parser

    _add_build(verb("build", "from a labelled set to a gated package; goes on where it was interrupted", _build))
    predict = verb(
        "predict", "a package's answers on the test split, for validate; this look is written down", _predict
    )
    predict.add_argument("package", type=Path)
    predict.add_argument("data", type=Path, metavar="SET")
    predict.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    _add_import(verb("import", "package a model that another tool exported (ONNX, OpenVINO)", _import))
    key = verb("key", "make a key for signing", _key)
    key.add_argument("file", type=Path, metavar="KEY.pem")
    sign = verb("sign", "sign a package", _sign)
    sign.add_argument("package", type=Path)
    sign.add_argument("--key", type=Path, required=True, metavar="KEY.pem")
    verify = verb("verify", "check every byte, the signature, and the golden images on this computer", _verify)
    verify.add_argument("package", type=Path)
    verify.add_argument("--trusted", action="append", default=[], metavar="HEX", help="a public key that may sign")
    listing = verb("list", "the packages in a folder", _list)
    listing.add_argument("folder", type=Path)
    show = verb("show", "what a package says of itself", _show)
    show.add_argument("package", type=Path)
    diff = verb("diff", "what differs between two packages", _diff)
    diff.add_argument("one", type=Path)
    diff.add_argument("two", type=Path)
    benchmark = verb("benchmark", "every graph and number of threads, timed on this computer", _benchmark)
    benchmark.add_argument("package", type=Path)
    benchmark.add_argument("--runs", type=int, default=200)
    benchmark.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures and the choice there")
    cli_validate.add_verb(verbs)
    promote = verb("promote", "let a recipe run this version from its next selection on", _promote)
    promote.add_argument("model", metavar="NAME@VERSION")
    rollback = verb("rollback", "take the last promotion of a recipe back", _rollback)
    for parser in (promote, rollback):
        parser.add_argument("--product", required=True)
        parser.add_argument("--station", type=Path, required=True, metavar="STATION.toml")
    promote.add_argument("--view", default="", help="this view only, whichever model it runs")
    for parser in (verify, listing, show, diff, benchmark, promote, rollback):
        parser.add_argument("--json", action="store_true", help="JSON for programs instead of text for people")


def _add_build(build: argparse.ArgumentParser) -> None:
    build.add_argument("data", type=Path, help="a labelled set, or a folder in another tool's format")
    build.add_argument("--catalogue", type=Path, required=True, metavar="FILE")
    build.add_argument("--out", type=Path, required=True, metavar="DIR")
    build.add_argument("--name", required=True)
    build.add_argument("--version", default="1.0.0", dest="package_version")
    build.add_argument("--task", choices=("auto", "anomaly", "classify", "segment", "detect"), default="auto")
    build.add_argument("--steps", type=int, help="training steps; by default as the task needs")
    build.add_argument("--side", type=int, help="longest side of the model's input in pixels")
    build.add_argument("--seed", type=int, default=1)
    build.add_argument("--threads", type=int, default=2)
    build.add_argument("--recall", type=float, default=0.95, help="share of each defect type that must be caught")
    build.add_argument("--defect-share", type=float, default=0.02, help="of the parts on the line, for the costs")
    build.add_argument("--licence", default="not stated")
    build.add_argument("--created", help="time of packing, ISO 8601, for a package that is the same bit by bit")
    build.add_argument("--key", type=Path, metavar="KEY.pem", help="sign the package")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx|MODEL.xml")
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures of good and of defective parts")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of packages")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", default="1.0.0", dest="package_version")
    parser.add_argument("--classes", default="", help="names in order, parted by commas, where the file has none")
    parser.add_argument("--good", help="which class is a good part")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="of the input, where the file fixes none")
    parser.add_argument("--licence", default="not stated")
    parser.add_argument("--key", type=Path, metavar="KEY.pem", help="sign the package")


def _guarded(work: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command; what is wrong is one line on standard error."""

    def run(args: argparse.Namespace) -> int:
        try:
            return work(args)
        except ModelRejected as error:
            said, code = str(error), REFUSED
        except (ModelError, ConfigErrors, ConfigError, ImportError, ValueError, OSError) as error:
            said, code = str(error), BAD_INPUT
        sys.stderr.write(f"linegate model {args.verb}: {said}\n")
        return code

    return run


def _opened(folder: Path, trusted: list[str] | None = None) -> ModelPackage:
    whole = folder.resolve()
    keys = [bytes.fromhex(key) for key in trusted or []]
    return open_package(
        whole.parent.parent, whole.parent.name, whole.name, trusted_keys=keys, require_signature=bool(keys)
    )


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _print(args: argparse.Namespace, facts: Any, text: str) -> int:
    sys.stdout.write((json.dumps(facts, indent=2) if args.json else text) + "\n")
    return DONE


def _build(args: argparse.Namespace) -> int:
    from models.catalogue import load_catalogue
    from models.lifecycle.build import Order, build
    from models.lifecycle.job import Settings
    from models.lifecycle.pack import Naming
    from models.lifecycle.thresholds import Aim
    from models.signing import read_key

    settings = Settings(
        task=None if args.task == "auto" else args.task,
        steps=args.steps,
        side=args.side,
        seed=args.seed,
        threads=args.threads,
    )
    order = Order(
        args.data,
        load_catalogue(args.catalogue),
        args.out,
        Naming(args.name, args.package_version, args.licence, args.created),
        settings,
        Aim(args.recall, args.defect_share),
        read_key(args.key) if args.key else None,
    )
    package = build(order, _say)
    sys.stdout.write(f"{package.folder}\nhash {package.hash}\ncontent {package.content_hash}\n")
    return DONE


def _predict(args: argparse.Namespace) -> int:
    from models.lifecycle.data.labelled_set import open_set
    from models.lifecycle.predict import answers_on
    from models.lifecycle.validate.predictions import write_predictions

    package = _opened(args.package)
    data = open_set(args.data)
    samples = data.open_test(f"answers of {package.manifest.name}@{package.manifest.version}")
    write_predictions(args.out, answers_on(package, data.root, samples), package.manifest.defect_classes)
    sys.stdout.write(f"{args.out}: {len(samples)} pictures, look {len(data.test_uses())} at a test split of this set\n")
    return DONE


def _import(args: argparse.Namespace) -> int:
    from models.lifecycle.foreign.bring import bring
    from models.lifecycle.foreign.recognise import Given
    from models.lifecycle.pack import Naming
    from models.signing import read_key

    pictures = sorted(p for p in args.images.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".tif"))
    side = None
    if args.size:
        width, _, height = args.size.partition("x")
        side = (int(width), int(height))
    given = Given(tuple(name.strip() for name in args.classes.split(",") if name.strip()), args.good, side)
    key = read_key(args.key) if args.key else None
    naming = Naming(args.name, args.package_version, args.licence)
    made = bring(args.model, pictures, args.out, naming, given, key)
    found = made.recognised
    _say(f"recognised: {found.family}, {found.task}: {', '.join(found.classes)}; {found.size[0]} x {found.size[1]}, "
         f"{found.colour}, mean {found.mean}, std {found.std}")  # fmt: skip
    for note in found.notes:
        _say(f"note: {note}")
    for file, score, findings in made.answers:
        _say(f"{file}: score {score:.3f}, {findings} findings")
    sys.stdout.write(f"{made.package.folder}\nhash {made.package.hash}\n")
    return DONE


def _key(args: argparse.Namespace) -> int:
    from models.signing import make_key

    sys.stdout.write(make_key(args.file) + "\n")
    return DONE


def _sign(args: argparse.Namespace) -> int:
    from models.signing import read_key, sign

    sys.stdout.write(f"signed {sign(args.package.resolve(), read_key(args.key)).hash}\n")
    return DONE


def _verify(args: argparse.Namespace) -> int:
    from models.decode import DECODERS
    from models.golden import check_golden
    from models.runner import Runner

    package = _opened(args.package, args.trusted)
    runner = Runner(package)
    try:
        runner.load()
        runner.warm_up()
        check_golden(runner, DECODERS[package.manifest.task])
    finally:
        runner.close()
    facts = {"hash": package.hash, "signed": package.signed, "golden": len(package.manifest.golden)}
    return _print(args, facts, ", ".join(f"{key}: {value}" for key, value in facts.items()))


def _list(args: argparse.Namespace) -> int:
    from models.registry import packages

    found = list(packages(args.folder))
    if args.json:
        rows = [
            {"name": e.name, "version": e.version, "hash": e.package.hash if e.package else None, "refused": e.why}
            for e in found
        ]
        return _print(args, rows, "")
    table = Table("name", "version", "task", "runs as", "classes", "made", "state", title=str(args.folder))
    for entry in found:
        if entry.package is None:
            table.add_row(entry.name, entry.version, "", "", "", "", f"refused: {entry.why}")
            continue
        about = entry.package.manifest
        state = "signed" if (entry.package.folder / "manifest.sig").is_file() else "unsigned"
        names = ", ".join(about.defect_classes)
        table.add_row(entry.name, entry.version, about.task, about.preferred, names, about.created, state)
    Console().print(table)
    return DONE


def _show(args: argparse.Namespace) -> int:
    package = _opened(args.package)
    facts = package.manifest.model_dump(mode="json", by_alias=True)
    facts |= {"hash": package.hash, "content": package.content_hash}
    text = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items())
    return _print(args, facts, text)


def _diff(args: argparse.Namespace) -> int:
    from models.registry import differences

    rows = differences(_opened(args.one), _opened(args.two))
    return _print(args, rows, "\n".join(f"{key}: {one} -> {two}" for key, one, two in rows) or "no difference")


def _benchmark(args: argparse.Namespace) -> int:
    from models.benchmark import benchmark

    figures = benchmark(_opened(args.package), args.runs)
    if args.out is not None:
        args.out.write_text(json.dumps(figures.facts(), indent=2) + "\n", encoding="utf-8")
    return _print(args, figures.facts(), figures.table())


def _promote(args: argparse.Namespace) -> int:
    from controller.model_pins import promote

    changes = promote(load_station(args.station), args.product, args.model, args.view)
    return _changed(args, [(c.view, c.before, c.after) for c in changes])


def _rollback(args: argparse.Namespace) -> int:
    from controller.model_pins import rollback

    return _changed(args, [(c.view, c.before, c.after) for c in rollback(load_station(args.station), args.product)])


def _changed(args: argparse.Namespace, changes: list[tuple[str, str, str]]) -> int:
    text = "\n".join(f"{view}: {before} -> {after}" for view, before, after in changes) or "runs it already"
    return _print(args, changes, f"{text}\na running station takes it when this recipe is selected next")
