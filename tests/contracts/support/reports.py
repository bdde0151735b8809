"""Epoch reports for tests: leaves, trees, chunks, digest and signatures, written from docs/protocol.md a second time.

None of the project's own hashing is used here, so an agreement with the contract means that two independent readings of
the protocol agree. `test_python_side.py` adds the third, the one that settlement uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from contracts.types import (
    UNMEASURED_BUCKET,
    Charge,
    Credit,
    Harm,
    Leaf,
    MeasuredLeaf,
    Payee,
    Pool,
    Report,
    Totals,
)

CHUNK = 512
PAGE = 200
TOTALS = f"({','.join(['uint128'] * 9)})"
CHARGES, CREDITS = "(address,uint128)[]", "(address,address,uint128)[]"
POOLS = PAYEES = CHARGES
HARMS = "(address,bytes32)[]"
MOVEMENTS = "(bytes32[],bytes32[],bytes32[],bytes32)"
HARM_PAGE = "(uint32,uint32,uint256,address[],uint128[])"
DAYS = "(address,uint256[6],uint256,bytes)[]"
ZERO32 = bytes(32)
PPM = 1_000_000
FIELDS = (
    ("uint64", "epoch"),
    ("bytes32", "previous"),
    ("bytes32", "evidence"),
    ("bytes32", "state"),
    ("bytes32", "rules"),
    ("uint64", "checkpointBlock"),
    ("bytes32", "checkpointHash"),
    ("bytes32", "totals"),
    ("bytes32", "leaves"),
    ("uint32", "leafCount"),
    ("bytes32", "measurements"),
    ("bytes32", "movements"),
    ("bytes32", "harms"),
)


# ------------------------------------------------------------------------------------------------------------- contents


def make_leaf(provider: Any, fees: int = 0, incentive: int = 0, level: int = 0, **fields: Any) -> Leaf:
    """Return a leaf of a provider that was up all the time, unless `level` or other fields say otherwise."""
    leaf = Leaf(str(provider).lower(), fees, incentive, PPM, PPM, PPM, PPM, UNMEASURED_BUCKET, 0, 0, level, True)
    return replace(leaf, **fields)


def make_report(
    epoch: int,
    leaves: Sequence[Leaf] = (),
    charges: Mapping[Any, int] | None = None,
    credits: Mapping[tuple[Any, Any], int] | None = None,
    payees: Mapping[Any, int] | None = None,
    pools: Mapping[Any, int] | None = None,
    harms: Mapping[Any, bytes] | None = None,
    measured: Sequence[MeasuredLeaf] = (),
    ground: tuple[int, str] | None = None,
    previous: bytes = ZERO32,
    before: Sequence[Leaf] = (),
    from_fund: int = 0,
    treasury: int = 0,
) -> Report:
    """Return a report whose sums are right: what nobody else gets of the charges goes to the SLA fund.

    `before` are the leaves of the report before; what the leaves rose by is what providers earned. `ground`, chain id
    and ledger, is needed where something was `measured`.
    """
    by_customer = {str(k).lower(): v for k, v in (charges or {}).items()}
    by_pair = {(str(c).lower(), str(p).lower()): v for (c, p), v in (credits or {}).items()}
    by_payee = {str(k).lower(): v for k, v in (payees or {}).items()}
    by_pool = {str(k).lower(): v for k, v in (pools or {}).items()}
    by_harm = {str(k).lower(): v for k, v in (harms or {}).items()}
    charged, credited, verified = sum(by_customer.values()), sum(by_pair.values()), sum(by_payee.values())
    fees = sum(leaf.cumulative_fees for leaf in leaves) - sum(leaf.cumulative_fees for leaf in before)
    incentive = sum(leaf.cumulative_incentive for leaf in leaves) - sum(leaf.cumulative_incentive for leaf in before)
    sla_in = charged + from_fund - fees - verified - treasury - credited
    measurements = ZERO32
    if measured:
        assert ground is not None, "a measured leaf is bound to chain and ledger"
        measurements = root([measured_hash(*ground, epoch, one) for one in measured])
    return Report(
        epoch=epoch,
        previous=previous,
        evidence=keccak(text=f"evidence of {epoch}"),
        state=keccak(text=f"state after {epoch}"),
        rules=keccak(text="rules"),
        checkpoint_block=17,
        checkpoint_hash=keccak(text="block 17"),
        totals=Totals(charged, fees, verified, treasury, sla_in, credited, from_fund, incentive, sum(by_pool.values())),
        leaves=tuple(sorted(leaves, key=lambda leaf: leaf.provider)),
        measurements=measurements,
        charges=tuple(Charge(c, v) for c, v in sorted(by_customer.items())),
        credits=tuple(Credit(c, p, v) for (c, p), v in sorted(by_pair.items())),
        pools=tuple(Pool(p, v) for p, v in sorted(by_pool.items())),
        payees=tuple(Payee(v, amount) for v, amount in sorted(by_payee.items())),
        harms=tuple(Harm(p, r) for p, r in sorted(by_harm.items())),
    )


def with_totals(report: Report, **changes: int) -> Report:
    """Return the report with some of its totals changed and everything else as it was."""
    return replace(report, totals=replace(report.totals, **changes))


def plain(value: Any) -> Any:
    """Return a dataclass of `contracts.types` as the nested tuple that stands for its Solidity struct."""
    return astuple(value)


def chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    """Cut a list into chunks of 512, the last of them shorter; none of nothing."""
    return [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]


# --------------------------------------------------------------------------------------------------------------- leaves


def pack(leaf: Leaf) -> bytes:
    """Return a leaf's 64 bytes."""
    first = int(leaf.provider, 16) << 96 | leaf.cumulative_fees
    second = leaf.cumulative_incentive << 160
    second |= leaf.uptime_ppm << 136 | leaf.success_ppm << 112 | leaf.verification_ppm << 88 | leaf.score_ppm << 64
    second |= leaf.ttft_p95_bucket << 56 | leaf.strikes << 48 | leaf.standing << 40 | leaf.slash_level << 32
    second |= int(leaf.measured) << 24
    return first.to_bytes(32, "big") + second.to_bytes(32, "big")


def words(leaf: Leaf) -> list[bytes]:
    """Return a leaf's two words, as `claim` takes them."""
    return [pack(leaf)[:32], pack(leaf)[32:]]


def packed(report: Report) -> list[bytes]:
    """Return the chunks of packed leaves of a report."""
    return [b"".join(pack(leaf) for leaf in chunk) for chunk in chunks(report.leaves)]


def leaf_hash(chain_id: int, ledger: str, epoch: int, leaf: Leaf) -> bytes:
    """Hash a leaf twice, bound to chain, ledger and epoch."""
    return keccak(keccak(ground_words(chain_id, ledger, epoch) + pack(leaf)))


def ground_words(chain_id: int, ledger: str, epoch: int) -> bytes:
    """Return the three words to which every leaf is bound."""
    return encode(["uint256", "address", "uint64"], [chain_id, ledger, epoch])


def tree(nodes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the levels of the tree, leaves first, root last; no levels for no leaves."""
    levels = [list(nodes)] if nodes else []
    while levels and len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [below[i : i + 2] for i in range(0, len(below), 2)]
        levels.append([keccak(min(p) + max(p)) if len(p) == 2 else p[0] for p in pairs])
    return levels


def root(nodes: Sequence[bytes]) -> bytes:
    """Return the root over nodes, zero for none."""
    return tree(nodes)[-1][0] if nodes else ZERO32


def proof(nodes: Sequence[bytes], at: int) -> list[bytes]:
    """Return the neighbours on the way from a node to the root."""
    neighbours = []
    for level in tree(nodes)[:-1]:
        if at ^ 1 < len(level):
            neighbours.append(level[at ^ 1])
        at //= 2
    return neighbours


def leaf_hashes(chain_id: int, ledger: str, report: Report) -> list[bytes]:
    """Return the hashes of a report's leaves in their order."""
    return [leaf_hash(chain_id, ledger, report.epoch, leaf) for leaf in report.leaves]


def root_of(chain_id: int, ledger: str, report: Report) -> bytes:
    """Return the root over a report's leaves, zero for none."""
    return root(leaf_hashes(chain_id, ledger, report))


def chunk_roots(chain_id: int, ledger: str, report: Report) -> list[bytes]:
    """Return the roots of the chunks of a report's leaves."""
    return [root(chunk) for chunk in chunks(leaf_hashes(chain_id, ledger, report))]


def proof_of(chain_id: int, ledger: str, report: Report, leaf: Leaf) -> list[bytes]:
    """Return the neighbours on the way from a leaf to the root."""
    return proof(leaf_hashes(chain_id, ledger, report), report.leaves.index(leaf))


# ------------------------------------------------------------------------------------ what was measured, who was harmed


def measured_hash(chain_id: int, ledger: str, epoch: int, measured: MeasuredLeaf) -> bytes:
    """Hash a measured leaf twice, bound to chain, ledger and epoch."""
    days = keccak(encode([DAYS], [[plain(day) for day in measured.days]]))
    kinds = ["uint256", "address", "uint64", "address", "uint256[6]", "uint256[6]", "uint256[6]", "bytes32"]
    masks = [list(measured.duty), list(measured.served), list(measured.void)]
    return keccak(keccak(encode(kinds, [chain_id, ledger, epoch, measured.provider, *masks, days])))


def measured_proof(
    chain_id: int, ledger: str, epoch: int, measured: Sequence[MeasuredLeaf], one: MeasuredLeaf
) -> list[bytes]:
    """Return the neighbours on the way from a measured leaf to the root `measurements`."""
    return proof([measured_hash(chain_id, ledger, epoch, each) for each in measured], measured.index(one))


def harm_pages(weights: Mapping[Any, int], size: int = PAGE) -> list[tuple[Any, ...]]:
    """Return the pages that name the harmed, customers ascending, as `ISlashingCourt.Page` tuples."""
    by_customer = sorted((str(customer).lower(), weight) for customer, weight in weights.items())
    parts = [by_customer[i : i + size] for i in range(0, len(by_customer), size)]
    total = sum(weights.values())
    return [
        (index, len(parts), total, [customer for customer, _ in part], [weight for _, weight in part])
        for index, part in enumerate(parts)
    ]


def page_hash(page: tuple[Any, ...]) -> bytes:
    """Hash a page twice."""
    return keccak(keccak(encode([HARM_PAGE], [page])))


def harm_root(pages: Sequence[tuple[Any, ...]]) -> bytes:
    """Return the root that a report's harm names."""
    return root([page_hash(page) for page in pages])


def page_proof(pages: Sequence[tuple[Any, ...]], index: int) -> list[bytes]:
    """Return the neighbours on the way from a page to the root."""
    return proof([page_hash(page) for page in pages], index)


# ----------------------------------------------------------------------------------------------------------- signatures


def movements(report: Report) -> tuple[list[bytes], list[bytes], list[bytes], bytes]:
    """Return the hashes of what a report moves, as `IEpochLedger.Movements`."""

    def hashes(kind: str, items: Sequence[Any]) -> list[bytes]:
        return [keccak(encode([kind], [[plain(each) for each in chunk]])) for chunk in chunks(items)]

    payees = keccak(encode([PAYEES], [[plain(payee) for payee in report.payees]]))
    return hashes(CHARGES, report.charges), hashes(CREDITS, report.credits), hashes(POOLS, report.pools), payees


def movements_hash(report: Report) -> bytes:
    """Return what a report signs of its movements."""
    return keccak(encode([MOVEMENTS], [movements(report)]))


def signed(chain_id: int, ledger: str, report: Report) -> tuple[Any, ...]:
    """Return the signed part of a report, as `IEpochLedger.Report`."""
    return (
        report.epoch,
        report.previous,
        report.evidence,
        report.state,
        report.rules,
        report.checkpoint_block,
        report.checkpoint_hash,
        plain(report.totals),
        root_of(chain_id, ledger, report),
        len(report.leaves),
        report.measurements,
        movements_hash(report),
        [plain(harm) for harm in report.harms],
    )


def typed_data(chain_id: int, ledger: str, report: Report) -> Any:
    """Return a report as an EIP-712 message, hashed by eth-account's general encoder."""
    return typed_data_of(chain_id, ledger, signed(chain_id, ledger, report))


def typed_data_of(chain_id: int, ledger: str, signed_part: Sequence[Any]) -> Any:
    """Return an `IEpochLedger.Report`, sound or not, as an EIP-712 message."""
    values = list(signed_part)
    values[7] = keccak(encode([TOTALS], [values[7]]))
    values[12] = keccak(encode([HARMS], [values[12]]))
    return encode_typed_data(
        {"name": "Bonded", "version": "1", "chainId": chain_id, "verifyingContract": ledger},
        {"Report": [{"type": kind, "name": name} for kind, name in FIELDS]},
        {name: value for (_, name), value in zip(FIELDS, values, strict=True)},
    )


def struct_hash(chain_id: int, ledger: str, report: Report) -> bytes:
    """Return the EIP-712 struct hash, which the next report names as `previous`."""
    return bytes(typed_data(chain_id, ledger, report).body)


def digest(chain_id: int, ledger: str, report: Report) -> bytes:
    """Return the 32 bytes that verifiers sign."""
    message = typed_data(chain_id, ledger, report)
    return keccak(b"\x19" + message.version + message.header + message.body)


def signatures(chain_id: int, ledger: str, report: Report, keys: Iterable[bytes]) -> list[bytes]:
    """Sign a report with each key, in ascending order of the signers."""
    return signatures_of(chain_id, ledger, signed(chain_id, ledger, report), keys)


def signatures_of(chain_id: int, ledger: str, signed_part: Sequence[Any], keys: Iterable[bytes]) -> list[bytes]:
    """Sign an `IEpochLedger.Report`, sound or not, with each key, in ascending order of the signers."""
    ascending = sorted((Account.from_key(key) for key in keys), key=lambda account: int(account.address, 16))
    message = typed_data_of(chain_id, ledger, signed_part)
    return [bytes(account.sign_message(message).signature) for account in ascending]


def signers_hash(signers: Sequence[str]) -> bytes:
    """Return what a record keeps of its signers."""
    return keccak(encode(["address[]"], [list(signers)]))


# ------------------------------------------------------------------------------------------------------------ arguments


def leaves_arguments(chain_id: int, ledger: str, report: Report, number: int = 0) -> tuple[Any, ...]:
    """Return the arguments of `publishLeaves` for a chunk."""
    return report.epoch, chunk_roots(chain_id, ledger, report), number, packed(report)[number]


def charges_arguments(report: Report, number: int = 0) -> tuple[Any, ...]:
    """Return the arguments of `takeCharges` for a chunk."""
    return report.epoch, movements(report), number, [plain(each) for each in chunks(report.charges)[number]]


def credits_arguments(report: Report, number: int = 0) -> tuple[Any, ...]:
    """Return the arguments of `pushCredits` for a chunk."""
    return report.epoch, movements(report), number, [plain(each) for each in chunks(report.credits)[number]]


def pools_arguments(report: Report, number: int = 0) -> tuple[Any, ...]:
    """Return the arguments of `pushPools` for a chunk."""
    return report.epoch, movements(report), number, [plain(each) for each in chunks(report.pools)[number]]


def refund_arguments(chain_id: int, ledger: str, report: Report, number: int = 0) -> tuple[Any, ...]:
    """Return the arguments of `refund` for a chunk of a cancelled report."""
    return digest(chain_id, ledger, report), *charges_arguments(report, number)[1:]
