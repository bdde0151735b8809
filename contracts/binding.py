"""Bind the functions of one deployed contract: what the wrappers of the single contracts are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from contracts.calls import Call, View
from contracts.codec import function
from contracts.deployment import Deployment
from contracts.errors import BadArgument
from contracts.types import Checkpoint

T = TypeVar("T")

PAGE = 100
"""Entries of a list read by one call."""


class Reader(Protocol):
    """What a wrapper needs to read: `contracts.chain.Chain`."""

    deployment: Deployment

    async def read(self, view: View[T], at: Checkpoint) -> T: ...

    async def read_many(self, views: list[View[Any]], at: Checkpoint) -> list[Any]: ...


class Contract:
    """One contract of a deployment by its name; with a bare Deployment it makes calls and views but cannot read."""

    def __init__(self, source: Reader | Deployment, name: str) -> None:
        self._reader = None if isinstance(source, Deployment) else source
        self.deployment = source if isinstance(source, Deployment) else source.deployment
        self.name = name
        self.address = self.deployment.address(name)

    def call(self, function_name: str, *arguments: Any, **told: Any) -> Call:
        """Return a call with positional ABI arguments; `told` replaces how it is shown to people."""
        codec = function(self.name, function_name)
        shown = told or dict(zip(codec.inputs.names, arguments, strict=True))
        return Call(self.name, function_name, self.address, codec.encode(arguments), 0, shown)

    def view(self, function_name: str, *arguments: Any, to: Callable[..., T]) -> View[T]:
        """Return a read whose results are handed to `to`, one argument each."""
        codec = function(self.name, function_name)
        decode = codec.outputs.decode
        return View(self.name, function_name, self.address, codec.encode(arguments), lambda data: to(*decode(data)))

    async def read(self, view: View[T], at: Checkpoint) -> T:
        """Read one view at a checkpoint."""
        return await self._readable().read(view, at)

    async def read_many(self, views: list[View[Any]], at: Checkpoint) -> list[Any]:
        """Read many views at one checkpoint."""
        return await self._readable().read_many(views, at)

    async def number(self, at: Checkpoint, function_name: str, *arguments: Any) -> int:
        """Read a function that returns one number."""
        return await self.read(self.view(function_name, *arguments, to=int), at)

    async def pages(self, at: Checkpoint, count: str, page: str, to: Callable[..., list[T]]) -> list[T]:
        """Read a whole list through `page(from, count)`, as long as `count()` says at the checkpoint."""
        length = await self.number(at, count)
        views = [self.view(page, start, PAGE, to=to) for start in range(0, length, PAGE)]
        return [one for part in await self.read_many(list(views), at) for one in part]

    def _readable(self) -> Reader:
        if self._reader is None:
            raise BadArgument(f"{self.name} was bound to a deployment alone: bind it to a Chain to read")
        return self._reader


def same(value: T) -> T:
    """Return what was decoded as it is."""
    return value
