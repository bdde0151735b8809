"""Epoch reports for tests: leaves, tree, digest and signatures, written from docs/protocol.md a second time.

None of the project's own hashing is used here, so an agreement with the contract means that two independent readings of
the protocol agree. `test_python_side.py` adds the third, the one that settlement uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from contracts.types import UNMEASURED_BUCKET, Charge, Credit, Leaf, Payee, Report, Totals

LEAF = "(address,uint128,uint128,uint32,uint8,uint32,uint32,uint32,uint16,uint8,bytes32)"
TOTALS = "(uint128,uint128,uint128,uint128,uint128,uint128,uint128,uint128)"
CHARGES, CREDITS, PAYEES = "(address,uint128)[]", "(address,address,uint128)[]", "(address,uint128)[]"
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
    ("bytes32", "movements"),
)


def make_leaf(provider: Any, fees: int = 0, incentive: int = 0, level: int = 0, harmed: bytes = ZERO32) -> Leaf:
    """Return a leaf of a provider that was up all the time, unless `level` says otherwise."""
    return Leaf(str(provider).lower(), fees, incentive, PPM, UNMEASURED_BUCKET, PPM, PPM, PPM, 0, level, harmed)


def make_report(
    epoch: int,
    leaves: Sequence[Leaf] = (),
    charges: Mapping[Any, int] | None = None,
    credits: Mapping[tuple[Any, Any], int] | None = None,
    payees: Mapping[Any, int] | None = None,
    previous: bytes = ZERO32,
    before: Sequence[Leaf] = (),
    from_fund: int = 0,
    treasury: int = 0,
) -> Report:
    """Return a report whose sums are right: what nobody else gets of the charges goes to the SLA fund.

    `before` are the leaves of the report before; what the leaves rose by is what providers earned.
    """
    by_customer = {str(k).lower(): v for k, v in (charges or {}).items()}
    by_pair = {(str(c).lower(), str(p).lower()): v for (c, p), v in (credits or {}).items()}
    by_payee = {str(k).lower(): v for k, v in (payees or {}).items()}
    charged, credited, verified = sum(by_customer.values()), sum(by_pair.values()), sum(by_payee.values())
    fees = sum(leaf.cumulative_fees for leaf in leaves) - sum(leaf.cumulative_fees for leaf in before)
    incentive = sum(leaf.cumulative_incentive for leaf in leaves) - sum(leaf.cumulative_incentive for leaf in before)
    sla_in = charged + from_fund - fees - verified - treasury - credited
    return Report(
        epoch=epoch,
        previous=previous,
        evidence=keccak(text=f"evidence of {epoch}"),
        state=keccak(text=f"state after {epoch}"),
        rules=keccak(text="rules"),
        checkpoint_block=17,
        checkpoint_hash=keccak(text="block 17"),
        totals=Totals(charged, fees, verified, treasury, sla_in, credited, from_fund, incentive),
        leaves=tuple(sorted(leaves, key=lambda leaf: leaf.provider)),
        charges=tuple(Charge(c, v) for c, v in sorted(by_customer.items())),
        credits=tuple(Credit(c, p, v) for (c, p), v in sorted(by_pair.items())),
        payees=tuple(Payee(v, amount) for v, amount in sorted(by_payee.items())),
    )


def with_totals(report: Report, **changes: int) -> Report:
    """Return the report with some of its totals changed and everything else as it was."""
    return replace(report, totals=replace(report.totals, **changes))


def plain(value: Any) -> Any:
    """Return a dataclass of `contracts.types` as the nested tuple that stands for its Solidity struct."""
    return astuple(value)


def harmed_digest(customers: Sequence[Any], weights: Sequence[int]) -> bytes:
    """Return what a leaf names as `harmed`."""
    return keccak(encode(["address[]", "uint128[]"], [[str(c) for c in customers], list(weights)]))


def leaf_hash(chain_id: int, ledger: str, epoch: int, leaf: Leaf) -> bytes:
    """Hash a leaf twice, bound to chain, ledger and epoch."""
    return keccak(keccak(encode(["uint256", "address", "uint64", LEAF], [chain_id, ledger, epoch, plain(leaf)])))


def tree(nodes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the levels of the tree, leaves first, root last; no levels for no leaves."""
    levels = [list(nodes)] if nodes else []
    while levels and len(levels[-1]) > 1:
        below = levels[-1]
        pairs = [below[i : i + 2] for i in range(0, len(below), 2)]
        levels.append([keccak(min(p) + max(p)) if len(p) == 2 else p[0] for p in pairs])
    return levels


def root_of(chain_id: int, ledger: str, report: Report) -> bytes:
    """Return the root over a report's leaves, zero for none."""
    levels = tree([leaf_hash(chain_id, ledger, report.epoch, leaf) for leaf in report.leaves])
    return levels[-1][0] if levels else ZERO32


def proof_of(chain_id: int, ledger: str, report: Report, leaf: Leaf) -> list[bytes]:
    """Return the neighbours on the way from a leaf to the root."""
    levels = tree([leaf_hash(chain_id, ledger, report.epoch, each) for each in report.leaves])
    at, proof = report.leaves.index(leaf), []
    for level in levels[:-1]:
        if at ^ 1 < len(level):
            proof.append(level[at ^ 1])
        at //= 2
    return proof


def typed_data(chain_id: int, ledger: str, report: Report) -> Any:
    """Return a report as an EIP-712 message, hashed by eth-account's general encoder."""
    movements = [[plain(x) for x in part] for part in (report.charges, report.credits, report.payees)]
    values = (
        report.epoch,
        report.previous,
        report.evidence,
        report.state,
        report.rules,
        report.checkpoint_block,
        report.checkpoint_hash,
        keccak(encode([TOTALS], [plain(report.totals)])),
        root_of(chain_id, ledger, report),
        keccak(encode([CHARGES, CREDITS, PAYEES], movements)),
    )
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


def signatures(chain_id: int, ledger: str, report: Report, keys: Sequence[bytes]) -> list[bytes]:
    """Sign a report with each key, in ascending order of the signers."""
    ascending = sorted((Account.from_key(key) for key in keys), key=lambda account: int(account.address, 16))
    message = typed_data(chain_id, ledger, report)
    return [bytes(account.sign_message(message).signature) for account in ascending]
