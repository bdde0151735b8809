"""Hash what was measured about each provider, as `ChallengeCourt` does (docs/protocol.md, section 4).

A report commits to this by its root `measurements`: one measured leaf per leaf of the report, in the same order, in a
tree of the same shape (`contracts.leaves`). Whoever challenges a report shows the measured leaf and its proof. No web3
here.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.leaves import root
from contracts.signing import keccak
from contracts.types import MeasuredDay, MeasuredLeaf, SixWords

_WORD = 32
_DAY_HEAD = 9 * _WORD


def measured_root(chain_id: int, epoch_ledger: str, epoch: int, leaves: Iterable[MeasuredLeaf]) -> bytes:
    """Return the root over measured leaves; 32 zero bytes when there are none."""
    return root(measured_hashes(chain_id, epoch_ledger, epoch, leaves))


def measured_hashes(chain_id: int, epoch_ledger: str, epoch: int, leaves: Iterable[MeasuredLeaf]) -> list[bytes]:
    """Return the hashes of measured leaves in their order."""
    prefix = chain_id.to_bytes(32) + _address(epoch_ledger) + epoch.to_bytes(32)
    return [_hash(prefix, leaf) for leaf in leaves]


def measured_hash(chain_id: int, epoch_ledger: str, epoch: int, leaf: MeasuredLeaf) -> bytes:
    """Return the doubly hashed measured leaf, bound to one chain, one ledger and one epoch."""
    return measured_hashes(chain_id, epoch_ledger, epoch, [leaf])[0]


def days_hash(days: Iterable[MeasuredDay]) -> bytes:
    """Return keccak256(abi.encode(Day[]))."""
    bodies = [_day(day) for day in days]
    offset, offsets = _WORD * len(bodies), b""
    for body in bodies:
        offsets += offset.to_bytes(32)
        offset += len(body)
    return keccak(_WORD.to_bytes(32) + len(bodies).to_bytes(32) + offsets + b"".join(bodies))


def _hash(prefix: bytes, leaf: MeasuredLeaf) -> bytes:
    masks = _words(leaf.duty) + _words(leaf.served) + _words(leaf.void)
    return keccak(keccak(prefix + _address(leaf.provider) + masks + days_hash(leaf.days)))


def _day(day: MeasuredDay) -> bytes:
    signature, length = day.signature, len(day.signature)
    return (
        _address(day.verifier)
        + _words(day.up)
        + day.histogram.to_bytes(32)
        + _DAY_HEAD.to_bytes(32)
        + length.to_bytes(32)
        + signature
        + bytes(-length % _WORD)
    )


def _words(six: SixWords) -> bytes:
    return b"".join([word.to_bytes(32) for word in six])


def _address(value: str) -> bytes:
    return bytes(12) + bytes.fromhex(value[2:])
