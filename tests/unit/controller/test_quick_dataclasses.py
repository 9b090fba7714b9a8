"""Data classes whose methods are compiled at their first use do what those of the standard library do."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest

from controller.quick_dataclasses import quick_dataclasses

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import ClassVar

@dataclass(slots=True)
class Above:
    number: int = 1
    names: list[str] = field(default_factory=list)

@dataclass(slots=True)
class Below(Above):
    kind: ClassVar[str] = "below"
    hidden: int = field(default=3, repr=False, compare=False)
    made: int = field(init=False, default=4)

@dataclass(slots=True)
class Own:
    number: int = 0

    def __eq__(self, other: object) -> bool:
        return True

@dataclass
class Open:
    number: int = 0
"""


@pytest.fixture(params=[True, False], ids=["quick", "as ever"])
def declared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module above, declared both ways: both pass the same tests."""
    module = ModuleType("quickly.declared")
    monkeypatch.setitem(sys.modules, "quickly", ModuleType("quickly"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    if request.param:
        with quick_dataclasses("quickly"):
            exec(SOURCE, vars(module))
    else:
        exec(SOURCE, vars(module))
    return module


def test_a_structure_is_made_shown_and_compared_as_ever(declared: Any) -> None:
    made = declared.Below(2, ["a"], hidden=5)
    assert repr(made) == "Below(number=2, names=['a'], made=4)"
    assert made == declared.Below(2, ["a"], hidden=6)
    assert made != declared.Below(3, ["a"], hidden=5)
    assert made != declared.Above(2, ["a"])
    assert declared.Above().names is not declared.Above().names
    assert (declared.Below.kind, made.hidden) == ("below", 5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        declared.Above(nothing=1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)
    with pytest.raises(AttributeError):
        made.other = 1


def equals(made: Any) -> bool:
    return made == deepcopy(made)


def pickled(made: Any) -> Any:
    return pickle.loads(pickle.dumps(made))


@pytest.mark.parametrize("act", [repr, equals, deepcopy, pickled])
def test_whatever_is_done_first_completes_it(declared: Any, act: Any) -> None:
    made = declared.Below.__new__(declared.Below)
    made.number, made.names, made.hidden, made.made = 1, [], 3, 4
    act(made)
    assert made == declared.Below()


def test_what_a_class_says_itself_stays(declared: Any) -> None:
    assert declared.Own(1) == declared.Own(2)
    declared.Open(1).other = 2


def test_another_package_and_later_classes_are_made_as_ever() -> None:
    thorough = dataclasses.dataclass
    with quick_dataclasses("quickly"):

        @dataclasses.dataclass(slots=True)
        class Elsewhere:
            number: int = 0

    assert Elsewhere.__init__.__code__.co_varnames == ("self", "number")
    assert dataclasses.dataclass is thorough


TELL = r"""
import copy, dataclasses, inspect, json, re, sys
from contextlib import nullcontext
from controller.quick_dataclasses import quick_dataclasses
with quick_dataclasses("asyncua") if sys.argv[1] == "quick" else nullcontext():
    from asyncua import ua
found, made = {}, 0
for name, cls in sorted(vars(ua).items()):
    if isinstance(cls, type) and dataclasses.is_dataclass(cls) and "__init__" in vars(cls):
        made += vars(cls)["__init__"].__code__.co_name == "__init__"
        try:
            one = cls()
            told = repr(one), one == copy.deepcopy(one), cls.__hash__ is None
        except Exception as error:
            told = repr(error)
        # Some hold the time at which they were made.
        found[name] = re.sub(r"datetime.datetime\(.*?\)", "now", f"{inspect.signature(cls.__init__)} {told}")
print(json.dumps([made, found]))
"""


def test_every_structure_of_the_library_is_the_same() -> None:
    def told(how: str) -> tuple[int, dict[str, str]]:
        done = subprocess.run([sys.executable, "-c", TELL, how], capture_output=True, text=True, check=True, timeout=50)
        made, found = json.loads(done.stdout)
        return made, found

    (quickly, quick), (as_ever, thorough) = told("quick"), told("as ever")
    assert as_ever > 300
    assert quickly < as_ever / 5, "most have no methods before their first use"
    assert quick.keys() == thorough.keys()
    assert {name: row for name, row in quick.items() if row != thorough[name]} == {}
