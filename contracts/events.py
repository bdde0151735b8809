"""Decode logs into the dataclasses of `contracts.event_types`, and fetch them in chain order. No web3 here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Protocol, TypeVar

from contracts import event_types
from contracts.abi import ARTIFACTS, artifact, signature, type_of
from contracts.codec import DecodingError, Words, decode_one
from contracts.deployment import Deployment
from contracts.errors import HistoryDamaged, RpcRefused
from contracts.event_types import Event, Position
from contracts.signing import keccak
from contracts.types import Harm, LimitsRecord, Payee, Pool, RulesRecord, Totals

E = TypeVar("E", bound=Event)

TOKENS = ("StakeToken", "PaymentToken")
"""Their events are fetched only when asked for by name."""

# arrays and structs become the records of contracts.types
_RECORDS: Mapping[str, Callable[[Any], Any]] = {
    "rules": lambda raw: RulesRecord(*raw),
    "limits": lambda raw: LimitsRecord(*raw),
    "totals": lambda raw: Totals(*raw),
    "harms": lambda raws: tuple(Harm(*raw) for raw in raws),
    "pools": lambda raws: tuple(Pool(*raw) for raw in raws),
    "payees": lambda raws: tuple(Payee(*raw) for raw in raws),
    "signers": tuple,
}


class LogSource(Protocol):
    """What `fetch` needs: `contracts.chain.Chain`."""

    deployment: Deployment

    async def logs(
        self, from_block: int, to_block: int, addresses: Sequence[str], topics: Sequence[Any] = ()
    ) -> list[dict[str, Any]]: ...


async def fetch(
    source: LogSource,
    from_block: int,
    to_block: int,
    *,
    names: Sequence[str] | None = None,
    kinds: Sequence[type[Event]] | None = None,
    chunk: int = 2_000,
) -> list[Event]:
    """Return the events of blocks `from_block` to `to_block`, both included, in chain order.

    `names`: contracts by their names in the deployment; all but the tokens if not given. `kinds`: only these events.
    A range that a node refuses is halved, down to one block; then its RpcRefused is raised.
    """
    parts = [part async for part in sweep(source, from_block, to_block, names=names, kinds=kinds, chunk=chunk)]
    return [event for part in parts for event in part]


async def sweep(
    source: LogSource,
    from_block: int,
    to_block: int,
    *,
    names: Sequence[str] | None = None,
    kinds: Sequence[type[Event]] | None = None,
    chunk: int = 2_000,
) -> AsyncIterator[list[Event]]:
    """Yield the same events as `fetch`, range by range, for a caller that may have enough before the end."""
    deployment = source.deployment
    wanted = [name for name in deployment.contracts if name not in TOKENS] if names is None else list(names)
    addresses = [deployment.address(name) for name in wanted]
    topics = [["0x" + topic_of(kind).hex() for kind in kinds]] if kinds else []
    start = from_block
    while start <= to_block:
        end = min(start + chunk - 1, to_block)
        try:
            logs = await source.logs(start, end, addresses, topics)
        except RpcRefused:
            if chunk == 1:
                raise
            chunk = max(1, chunk // 2)
            continue
        found = [event for log in logs if (event := decode_log(deployment, log)) is not None]
        yield sorted(found, key=lambda event: (event.at.block_number, event.at.log_index))
        start = end + 1


def decode_log(deployment: Deployment, log: Mapping[str, Any]) -> Event | None:
    """Decode a raw log; None if it is no event of the deployment's contracts. Raises HistoryDamaged if it is broken."""
    name = deployment.name_of(str(log["address"]))
    if name is None or not log["topics"]:
        return None
    known = _registry(ARTIFACTS.get(name, name)).get(bytes.fromhex(str(log["topics"][0])[2:]))
    if known is None:
        return None
    position = Position(
        block_number=int(log["blockNumber"], 16),
        block_hash=bytes.fromhex(log["blockHash"][2:]),
        tx_hash=bytes.fromhex(log["transactionHash"][2:]),
        log_index=int(log["logIndex"], 16),
        contract_name=name,
    )
    try:
        return known.decode(position, log["topics"], bytes.fromhex(str(log["data"])[2:]))
    except (DecodingError, ValueError, IndexError) as error:
        raise HistoryDamaged(f"{name}: log {position.log_index} of block {position.block_number}: {error}") from error


def of_type(events: Sequence[Event], kind: type[E]) -> list[E]:
    """Return the events of one class, in their order."""
    return [event for event in events if isinstance(event, kind)]


def topic_of(kind: type[Event]) -> bytes:
    """Return the first topic of an event's logs."""
    return keccak(signature(artifact(kind.CONTRACT).entry("event", kind.NAME or kind.__name__)).encode())


class _EventCodec:
    """One event: which class it makes, and from which topics and words."""

    __slots__ = ("_data", "_indexed", "_kind")

    def __init__(self, kind: type[Event], entry: Mapping[str, Any]) -> None:
        self._kind = kind
        self._indexed = [(field_name(one["name"]), type_of(one)) for one in entry["inputs"] if one["indexed"]]
        self._data = Words([one for one in entry["inputs"] if not one["indexed"]])

    def decode(self, position: Position, topics: Sequence[str], data: bytes) -> Event:
        values: dict[str, Any] = {}
        for (name, kind), topic in zip(self._indexed, topics[1:], strict=True):
            values[name] = decode_one(kind, bytes.fromhex(topic[2:]))
        for name, value in zip(self._data.names, self._data.decode(data), strict=True):
            record = _RECORDS.get(name)
            # one name may be a struct here and a digest there
            values[field_name(name)] = record(value) if record and isinstance(value, tuple) else value
        return self._kind(position, **values)


@cache
def _registry(artifact_name: str) -> dict[bytes, _EventCodec]:
    return {
        topic_of(kind): _EventCodec(kind, artifact(artifact_name).entry("event", kind.NAME or kind.__name__))
        for kind in event_classes()
        if artifact_name == kind.CONTRACT
    }


@cache
def event_classes() -> tuple[type[Event], ...]:
    """Return every event class."""
    found = [one for one in vars(event_types).values() if isinstance(one, type) and issubclass(one, Event)]
    return tuple(one for one in found if one is not Event and not one.__name__.startswith("_"))


def field_name(solidity: str) -> str:
    """Return the snake-case form of a Solidity name, with an underscore where Python reserves the word."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", solidity).lower()
    return name + "_" if name == "from" else name


def field_names(kind: type[Event]) -> tuple[str, ...]:
    """Return an event's own fields, its position left out."""
    return tuple(one.name for one in fields(kind) if one.name != "at")
