"""All events of a market, decoded from the chain's logs by the compiled ABIs alone, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brownie import web3
from eth_abi import decode
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic
from hexbytes import HexBytes

from tests.contracts.support.market import Market


@dataclass(frozen=True)
class Log:
    """One event: who emitted it (name in `Market.contracts`), what it is called, its values by name, and when."""

    contract: str
    event: str
    values: dict[str, Any]
    time: int


def read(market: Market) -> list[Log]:
    """Return every event of every contract of a market up to this block."""
    names = {contract.address.lower(): name for name, contract in market.contracts.items()}
    entries = {
        name: {event_abi_to_log_topic(entry): entry for entry in contract.abi if entry["type"] == "event"}
        for name, contract in market.contracts.items()
    }
    every = web3.eth.get_logs({"fromBlock": 0, "address": [c.address for c in market.contracts.values()]})
    times = {block: web3.eth.get_block(block)["timestamp"] for block in {log["blockNumber"] for log in every}}
    logs = []
    for log in sorted(every, key=lambda one: (one["blockNumber"], one["logIndex"])):
        name = names[log["address"].lower()]
        entry = entries[name][bytes(log["topics"][0])]
        logs.append(Log(name, entry["name"], _values(entry, log), times[log["blockNumber"]]))
    return logs


def _values(entry: Any, log: Any) -> dict[str, Any]:
    plain = [each for each in entry["inputs"] if not each["indexed"]]
    topics = iter(log["topics"][1:])
    body = iter(decode([collapse_if_tuple(each) for each in plain], bytes(HexBytes(log["data"]))))
    values = {}
    for each in entry["inputs"]:
        if each["indexed"]:
            (value,) = decode([collapse_if_tuple(each)], bytes(next(topics)))
        else:
            value = next(body)
        values[each["name"]] = _named(each, value)
    return values


def _named(kind: Any, value: Any) -> Any:
    """Return structs as dictionaries, lists as lists."""
    if kind["type"].endswith("[]"):
        one = {**kind, "type": kind["type"][:-2]}
        return [_named(one, each) for each in value]
    if kind["type"] == "tuple":
        return {part["name"]: _named(part, each) for part, each in zip(kind["components"], value, strict=True)}
    return value
