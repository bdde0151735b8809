"""A call that goes through, with what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from brownie import accounts
from brownie.exceptions import VirtualMachineError


@dataclass
class Act:
    """A function, its arguments at the moment of the call, whose call it is, and what has to happen just before.

    `error` names the refusal where, at this point of the market's life, even the right caller can only have that.
    """

    function: Any
    arguments: Callable[[], tuple[Any, ...]]
    sender: Any
    before: Callable[[], None] = lambda: None
    error: str | None = None


def itself(contract: Any) -> Any:
    """Return a contract as an account that acts."""
    return accounts.at(contract.address, force=True)


def tried(*call: Any) -> bool:
    """Make a call that may be refused at this point; returns whether it went through."""
    function, *arguments, sender = call
    try:
        function(*arguments, {"from": sender})
    except (VirtualMachineError, ValueError):
        return False
    return True
