"""Ask a contract for something it must refuse, and check which typed error it gives, with which numbers."""

from __future__ import annotations

from typing import Any

from brownie import project, web3
from eth_abi import decode
from eth_utils import function_abi_to_4byte_selector, get_abi_input_types


def refused(function: Any, *arguments: Any, sender: Any) -> tuple[Any, ...]:
    """Simulate a call that must fail and return (error name, its values…); fails if the call would succeed.

    Nothing is sent, so the state cannot have changed. Errors of every contract are known: they pass through callers.
    """
    call = {"from": str(sender), "to": function._address, "data": function.encode_input(*arguments)}
    return _error_of(call, f"{function._name} was not refused")


def deployment_refused(container: Any, *arguments: Any, sender: Any) -> tuple[Any, ...]:
    """As `refused`, for a constructor."""
    call = {"from": str(sender), "data": container.deploy.encode_input(*arguments)}
    return _error_of(call, f"the constructor of {container._name} did not refuse")


def _error_of(call: dict[str, Any], otherwise: str) -> tuple[Any, ...]:
    try:
        web3.eth.call(call)
    except ValueError as error:  # brownie's middleware turns every answer with an error into one of these
        return decode_error(error.args[0]["data"])
    raise AssertionError(otherwise)


def decode_error(data: str) -> tuple[Any, ...]:
    """Decode revert data against the errors of all contracts of the project; addresses lower-case."""
    raw = bytes.fromhex(data.removeprefix("0x"))
    entry = _errors()[raw[:4]]
    return entry["name"], *decode(get_abi_input_types(entry), raw[4:])


def _errors() -> dict[bytes, Any]:
    if not _known:
        panic = {"name": "Panic", "type": "error", "inputs": [{"name": "code", "type": "uint256"}]}
        entries = [
            entry for build in project.get_loaded_projects()[0] for entry in build.abi if entry["type"] == "error"
        ]
        _known.update({function_abi_to_4byte_selector(e | {"type": "function"}): e for e in [panic, *entries]})
    return _known


_known: dict[bytes, Any] = {}
