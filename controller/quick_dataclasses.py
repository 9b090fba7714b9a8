"""A library's hundreds of data classes without what most of them never need: methods compiled at their first use.

asyncua declares 420 structures of OPC UA when it is imported. For each, `dataclass` writes and compiles an `__init__`,
`__repr__` and `__eq__`: a third of the import's time, in the station and in its status process. A program uses some
sixty of them.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_METHODS = ("__init__", "__repr__", "__eq__")
_SPECIAL = frozenset((*_METHODS, "__hash__", "__post_init__"))


@contextmanager
def quick_dataclasses(package: str) -> Generator[None]:
    """While this lasts, plain data classes with slots that modules of this package declare compile no methods.

    Any other data class is made as ever. Before other threads import the package.
    """
    thorough = dataclasses.dataclass

    def quick(cls: type | None = None, /, **options: Any) -> Any:
        if cls is None:
            return functools.partial(quick, **options)
        if options != {"slots": True} or not cls.__module__.startswith(f"{package}.") or _special(cls):
            return thorough(cls, **options)
        return _quick(thorough(cls, init=False, repr=False, eq=False, slots=True))

    # Whatever dataclass(...) is called by a module of another package goes through untouched.
    dataclasses.dataclass = quick
    try:
        yield
    finally:
        dataclasses.dataclass = thorough


def _special(cls: type) -> bool:
    """The class says itself how some of it is done."""
    return not _SPECIAL.isdisjoint(vars(cls)) or hasattr(cls, "__post_init__")


def _quick(cls: type) -> type:
    """A data class whose methods, called for the first time, put the real ones in their place."""

    def first(name: str) -> Callable[..., Any]:
        def call(self: object, *args: Any, **named: Any) -> Any:
            _complete(cls)
            return vars(cls)[name](self, *args, **named)

        return call

    for name in _METHODS:
        setattr(cls, name, first(name))
    # As for every class with an __eq__ and no __hash__ of its own.
    cls.__hash__ = None  # pyright: ignore[reportAttributeAccessIssue]
    return cls


def _complete(cls: Any) -> None:
    """Take the methods from a twin that was made as ever."""
    own = vars(cls).get("__annotations__", {})
    fields = [(f.name, f.type, copy.copy(f)) for f in dataclasses.fields(cls) if f.name in own]
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    twin: type = dataclasses.make_dataclass(cls.__name__, fields, bases=cls.__bases__, namespace=names, slots=True)
    for name in _METHODS:
        setattr(cls, name, vars(twin)[name])
