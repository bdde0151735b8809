"""Turn what a node says about a revert into `ContractRefused` with the name and arguments of the contract's error.

One call may fail deep inside another contract (a report is refused by the escrow, a deposit by the token), so an error
is looked up in the called contract first and in all others then. No web3 here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from contracts.abi import ARTIFACTS, DEPLOYED, artifact, signature
from contracts.codec import DecodingError, Words
from contracts.errors import ContractRefused, RpcRefused
from contracts.signing import keccak

_BUILT_IN: tuple[Mapping[str, Any], ...] = (
    {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)
_REVERT_CODE = 3
_HEX = re.compile(r"0x[0-9a-fA-F]*")


def refusal(error: RpcRefused, contract: str, call: str = "") -> ContractRefused | None:
    """Return the contract's refusal inside a node's error, or None when the node itself refused."""
    data = _revert_data(error.data)
    if data is None:
        if error.code != _REVERT_CODE and "revert" not in error.message:
            return None
        data = b""
    return decode_revert(contract, data, call)


def decode_revert(contract: str, data: bytes, call: str = "") -> ContractRefused:
    """Decode revert data; an unknown selector is given as the error's name."""
    if not data:
        return ContractRefused(contract, "", {}, call)
    for name, selectors in ((contract, _errors(ARTIFACTS.get(contract, contract))), ("", _all_errors())):
        found = selectors.get(data[:4])
        if found is None:
            continue
        try:
            values = found[1].decode(data[4:])
        except DecodingError:
            continue
        return ContractRefused(name or contract, found[0], dict(zip(found[1].names, values, strict=True)), call)
    return ContractRefused(contract, "0x" + data[:4].hex(), {}, call)


@cache
def _errors(artifact_name: str) -> dict[bytes, tuple[str, Words]]:
    entries = artifact(artifact_name).entries("error") if artifact_name in _known() else ()
    return {keccak(signature(one).encode())[:4]: (str(one["name"]), Words(one["inputs"])) for one in entries}


@cache
def _all_errors() -> dict[bytes, tuple[str, Words]]:
    merged = {keccak(signature(one).encode())[:4]: (str(one["name"]), Words(one["inputs"])) for one in _BUILT_IN}
    for name in _known():
        merged |= _errors(name)
    return merged


@cache
def _known() -> frozenset[str]:
    return frozenset(ARTIFACTS.get(name, name) for name in DEPLOYED)


def _revert_data(data: object) -> bytes | None:
    """Find the bytes in the shapes in which nodes hand them over: a string, a string with words, an object."""
    if isinstance(data, Mapping):
        inner = data.get("data", data.get("result"))
        return _revert_data(inner) if inner is not None else None
    if not isinstance(data, str):
        return None
    found = _HEX.search(data)
    if found is None or len(found.group()) % 2:
        return None
    return bytes.fromhex(found.group()[2:])
