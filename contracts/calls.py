"""What is asked of a contract: a `Call` to be sent, or a `View` to be read. Neither does anything by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")

_MOST_SHOWN = 66


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction somebody might send: `contracts.transactions.Sender` alone sends it."""

    contract: str
    function: str
    to: str
    data: bytes
    value: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def label(self) -> str:
        """Return `Contract.function`."""
        return f"{self.contract}.{self.function}"

    def __str__(self) -> str:
        told = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return f"{self.label}({told})"


@dataclass(frozen=True, slots=True)
class View(Generic[T_co]):
    """A read of a contract; `decode` turns the answer's bytes into what the caller wants."""

    contract: str
    function: str
    to: str
    data: bytes
    decode: Callable[[bytes], T_co]

    def then(self, change: Callable[[T_co], U]) -> View[U]:
        """Return the same read with its result changed."""
        decode = self.decode
        return View(self.contract, self.function, self.to, self.data, lambda data: change(decode(data)))


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex() if len(value) <= 32 else f"0x{value[:8].hex()}…({len(value)} bytes)"
    if isinstance(value, (list, tuple)):
        return f"[{len(value)}]"
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
