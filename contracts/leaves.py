"""Hash an epoch report: its leaves, their tree, and the words of it that verifiers sign (docs/protocol.md, section 4).

All of it bit for bit what `EpochLedger` and `SlashingCourt` compute; tests compare the two on a real chain. Every value
hashed here is a list of whole 32-byte words, so the ABI encoding is written out by hand: ten thousand leaves cost some
tens of milliseconds, where a general encoder takes seconds. No web3 here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.errors import NotInTree
from contracts.messages import ZERO32, Domain, ReportDigest
from contracts.signing import keccak
from contracts.types import Charge, Credit, Leaf, Payee, Report, Totals

_WORD = 32


def leaf_hash(chain_id: int, epoch_ledger: str, epoch: int, leaf: Leaf) -> bytes:
    """Return the doubly hashed leaf, bound to one chain, one ledger and one epoch.

    Hashed twice, so that no inner node of the tree can be presented as a leaf.
    """
    return _leaf_hash(_number(chain_id) + _address(epoch_ledger) + _number(epoch), leaf)


def leaf_hashes(chain_id: int, epoch_ledger: str, report: Report) -> list[bytes]:
    """Return the hashes of a report's leaves in their order."""
    prefix = _number(chain_id) + _address(epoch_ledger) + _number(report.epoch)
    return [_leaf_hash(prefix, leaf) for leaf in report.leaves]


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of the tree over `hashes`; 32 zero bytes when there are none.

    Level by level, left to right: neighbours are paired by keccak256(min ‖ max), an odd last node moves up unchanged.
    """
    if not hashes:
        return ZERO32
    level = list(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def proof(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the siblings from leaf `index` up to the root, as OpenZeppelin's `MerkleProof` takes them."""
    if not 0 <= index < len(hashes):
        raise NotInTree(index, len(hashes))
    siblings = []
    level = list(hashes)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            siblings.append(level[beside])
        level, index = _above(level), index // 2
    return tuple(siblings)


def verify(expected_root: bytes, hash_: bytes, siblings: Iterable[bytes]) -> bool:
    """Say whether a leaf hash and its proof lead to the root."""
    for sibling in siblings:
        hash_ = _pair(hash_, sibling)
    return hash_ == expected_root


def harmed_digest(customers: Sequence[str], weights: Sequence[int]) -> bytes:
    """Return keccak256(abi.encode(address[], uint128[])) of the customers who paid for a provider's work, ascending."""
    first = _array([_address(customer) for customer in customers])
    second = _array([_number(weight) for weight in weights])
    return keccak(_number(2 * _WORD) + _number(2 * _WORD + len(first)) + first + second)


def totals_hash(totals: Totals) -> bytes:
    """Return keccak256(abi.encode(Totals))."""
    return keccak(
        b"".join(
            _number(value)
            for value in (
                totals.charged,
                totals.provider_fees,
                totals.verifier_fees,
                totals.treasury,
                totals.sla_fund_in,
                totals.credits,
                totals.credits_from_fund,
                totals.incentive,
            )
        )
    )


def movements_hash(charges: Sequence[Charge], credits: Sequence[Credit], payees: Sequence[Payee]) -> bytes:
    """Return keccak256(abi.encode(charges, credits, payees))."""
    parts = (_charges(charges), _credits(credits), _payees(payees))
    offset, head = len(parts) * _WORD, b""
    for part in parts:
        head += _number(offset)
        offset += len(part)
    return keccak(head + b"".join(parts))


def credits_hash(credits: Sequence[Credit]) -> bytes:
    """Return keccak256(abi.encode(credits)), which `EpochLedger.activate` compares."""
    return keccak(_number(_WORD) + _credits(credits))


def payees_hash(payees: Sequence[Payee]) -> bytes:
    """Return keccak256(abi.encode(payees)), which `EpochLedger.activate` compares."""
    return keccak(_number(_WORD) + _payees(payees))


def report_digest(report: Report, domain: Domain) -> ReportDigest:
    """Return the message that verifiers sign for a report in a domain.

    Its `struct_hash()` is what the next report names as `previous`; sign its `digest(domain.separator())`.
    """
    return ReportDigest(
        epoch=report.epoch,
        previous=report.previous,
        evidence=report.evidence,
        state=report.state,
        rules=report.rules,
        checkpoint_block=report.checkpoint_block,
        checkpoint_hash=report.checkpoint_hash,
        totals=totals_hash(report.totals),
        leaves=root(leaf_hashes(domain.chain_id, domain.epoch_ledger, report)),
        movements=movements_hash(report.charges, report.credits, report.payees),
    )


def _leaf_hash(prefix: bytes, leaf: Leaf) -> bytes:
    return keccak(
        keccak(
            prefix
            + _address(leaf.provider)
            + leaf.cumulative_fees.to_bytes(32)
            + leaf.cumulative_incentive.to_bytes(32)
            + leaf.uptime_ppm.to_bytes(32)
            + leaf.ttft_p95_bucket.to_bytes(32)
            + leaf.success_ppm.to_bytes(32)
            + leaf.verification_ppm.to_bytes(32)
            + leaf.score_ppm.to_bytes(32)
            + leaf.strikes.to_bytes(32)
            + leaf.slash_level.to_bytes(32)
            + leaf.harmed
        )
    )


def _above(level: list[bytes]) -> list[bytes]:
    paired = [_pair(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        paired.append(level[-1])
    return paired


def _pair(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


def _charges(charges: Sequence[Charge]) -> bytes:
    return _array([_address(one.customer) + _number(one.amount) for one in charges])


def _credits(credits: Sequence[Credit]) -> bytes:
    return _array([_address(one.customer) + _address(one.provider) + _number(one.amount) for one in credits])


def _payees(payees: Sequence[Payee]) -> bytes:
    return _array([_address(one.verifier) + _number(one.amount) for one in payees])


def _array(items: Sequence[bytes]) -> bytes:
    return _number(len(items)) + b"".join(items)


def _number(value: int) -> bytes:
    return value.to_bytes(32)


def _address(value: str) -> bytes:
    return bytes(12) + bytes.fromhex(value[2:])
