"""`linegate users`: who may log in to the status server. Passwords come from a prompt or from standard input."""

from __future__ import annotations

import argparse
import getpass
import json
import sys

from rich.console import Console
from rich.table import Table

from controller.cli_trust import DONE, NOT_FOUND, add_station, guarded
from controller.config import StationConfig
from controller.status.access import Role
from controller.status.security.users import UsersFile, make_account

_EXAMPLES = """examples:
  linegate users add anna --role engineer --station station.toml
  linegate users passwd anna --password-stdin --station station.toml < secret
  linegate users list --station station.toml --json
exit codes: 0 done, 1 no such user, 2 it makes no sense or a file is wrong
"""


# The type of what add_subparsers() returns has no public name.
def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `users` with its verbs to the program's sub-commands."""
    style = argparse.RawDescriptionHelpFormatter
    users = subparsers.add_parser(
        "users", help="who may log in to the status server", epilog=_EXAMPLES, formatter_class=style
    )
    verbs = users.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="names and roles", epilog=_EXAMPLES, formatter_class=style)
    add = verbs.add_parser("add", help="add a person", epilog=_EXAMPLES, formatter_class=style)
    remove = verbs.add_parser("remove", help="remove a person", epilog=_EXAMPLES, formatter_class=style)
    passwd = verbs.add_parser("passwd", help="a new password", epilog=_EXAMPLES, formatter_class=style)
    for parser in (listing, add, remove, passwd):
        add_station(parser)
    for parser in (add, remove, passwd):
        parser.add_argument("name", help="letters, digits and . _ @ -")
    add.add_argument(
        "--role",
        action="append",
        required=True,
        choices=[role.value for role in Role],
        help="observer reads; operator also acknowledges, resets and lowers the mode; engineer also raises it and "
        "changes recipes; maintenance also takes alarms out of service. May be given twice",
    )
    for parser in (add, passwd):
        parser.add_argument("--password-stdin", action="store_true", help="the first line of standard input")
    users.set_defaults(run=guarded("users", _run))


def _run(args: argparse.Namespace, config: StationConfig) -> int:
    file = UsersFile(config.users_path)
    accounts = file.accounts()
    if args.verb == "list":
        return _list(args, file)
    known = accounts.get(args.name)
    if args.verb == "add":
        if known is not None:
            raise ValueError(f"{args.name} is there already: `linegate users passwd` changes the password")
        file.put(make_account(args.name, _password(args), frozenset(Role(role) for role in args.role)))
    elif known is None:
        return _unknown(args)
    elif args.verb == "remove":
        file.remove(args.name)
    else:
        file.put(make_account(args.name, _password(args), known.roles))
    _say(args, args.name)
    return DONE


def _list(args: argparse.Namespace, file: UsersFile) -> int:
    rows = [
        {"name": name, "roles": sorted(role.value for role in account.roles)}
        for name, account in sorted(file.accounts().items())
    ]
    if args.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return DONE
    table = Table("name", "roles", title=str(file.path))
    for row in rows:
        table.add_row(str(row["name"]), ", ".join(row["roles"]))
    Console().print(table)
    return DONE


def _password(args: argparse.Namespace) -> str:
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"password of {args.name}: ")
    if getpass.getpass("once more: ") != first:
        raise ValueError("the two passwords differ")
    return first


def _unknown(args: argparse.Namespace) -> int:
    sys.stderr.write(f"linegate users: there is no {args.name}\n")
    return NOT_FOUND


def _say(args: argparse.Namespace, name: str) -> None:
    if args.json:
        sys.stdout.write(json.dumps({"done": args.verb, "name": name}) + "\n")
    else:
        sys.stdout.write(f"{args.verb}: {name}\n")
