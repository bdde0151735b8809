"""What can go wrong between Python and the chain; one root, and each message says what to do."""

from __future__ import annotations


class ContractsError(Exception):
    """Root of every error raised by the `contracts` package."""


class BadAddress(ContractsError):
    """An address is not `0x` followed by 40 hexadecimal digits: check what was pasted."""

    def __init__(self, value: str) -> None:
        super().__init__(f"{value!r} is not an address: it must be 0x followed by 40 hexadecimal digits")


class BadSignature(ContractsError):
    """A signature is malformed, malleable or by nobody: refuse the message it came with."""


class BadMessage(ContractsError):
    """A signed message cannot be read: a field is missing, of the wrong type or out of its range."""


class NotInTree(ContractsError):
    """A proof was asked for a leaf that the report does not have: look the provider up in the report's leaves."""

    def __init__(self, index: int, leaves: int) -> None:
        super().__init__(f"there is no leaf {index}: the report has {leaves}")
