"""What verifiers, providers and gateways sign and what a report commits to of it, from docs/protocol.md a second time.

Masks are integers here, bit s for slot s of the devnet's epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from brownie import accounts
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from contracts.types import Leaf, MeasuredDay, MeasuredLeaf, Report
from tests.contracts.support import reports
from tests.contracts.support.market import VERIFIER_KEYS, Market

SLOTS = 60
FULL = (1 << SLOTS) - 1
WHOLE = 1_000_000
QUORUM = 2
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PROBE_DAY = (("address", "provider"), ("uint64", "epoch"), ("uint256[6]", "up"), ("uint256", "histogram"))
RECEIPT = (
    ("bytes32", "job"),
    ("uint32", "attempt"),
    ("address", "provider"),
    ("bytes32", "model"),
    ("uint64", "slot"),
    ("uint32", "inputTokens"),
    ("uint32", "cachedTokens"),
    ("uint32", "outputTokens"),
    ("uint32", "ttftMs"),
    ("uint32", "itlUs"),
    ("uint128", "chargeAtto"),
    ("bytes32", "requestDigest"),
    ("bytes32", "responseDigest"),
    ("uint8", "status"),
    ("bytes32", "taken"),
    ("uint8", "attestationType"),
    ("bytes32", "attestation"),
)
COUNTERSIGNATURE = (
    ("bytes32", "receipt"),
    ("address", "customer"),
    ("uint64", "slot"),
    ("uint32", "ttftMs"),
    ("uint32", "itlUs"),
    ("uint8", "serviceClass"),
)


def words(mask: int) -> tuple[int, ...]:
    """Return a mask as six words."""
    return tuple((mask >> (256 * i)) & (2**256 - 1) for i in range(6))


def typed(ground: tuple[int, str], name: str, fields: Sequence[tuple[str, str]], values: Sequence[Any]) -> Any:
    """Return an EIP-712 message in a deployment's domain, hashed by eth-account's general encoder."""
    return encode_typed_data(
        {"name": "Bonded", "version": "1", "chainId": ground[0], "verifyingContract": ground[1]},
        {name: [{"type": kind, "name": field} for kind, field in fields]},
        {field: value for (_, field), value in zip(fields, values, strict=True)},
    )


def sign(key: bytes, message: Any) -> bytes:
    """Return a signature of 65 bytes."""
    return bytes(Account.from_key(key).sign_message(message).signature)


def malleated(signature: bytes) -> bytes:
    """Return the other signature that a curve accepts for the same message and key."""
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    return r + (SECP256K1_N - s).to_bytes(32, "big") + bytes([27 + 28 - v])


def signer_key(provider: Any) -> bytes:
    """Return the private key of the signer with which `Market.register` registers."""
    return keccak(text=f"signer of {provider.address}")


def probe_day(provider: Any, epoch: int, up: int, histogram: int = 0) -> tuple[Any, ...]:
    """Return an `ISlashingCourt.ProbeDay`."""
    return str(provider), epoch, list(words(up)), histogram


def sign_day(ground: tuple[int, str], key: bytes, day: tuple[Any, ...]) -> bytes:
    """Sign a ProbeDay."""
    return sign(key, typed(ground, "ProbeDay", PROBE_DAY, day))


def receipt(provider: Any, slot: int, **fields: Any) -> tuple[Any, ...]:
    """Return an `ISlashingCourt.Receipt` of a served attempt."""
    values = {name: 0 if kind.startswith("uint") else keccak(text=name) for kind, name in RECEIPT}
    values |= {"provider": str(provider), "slot": slot, "chargeAtto": 5, "outputTokens": 7} | fields
    return tuple(values[name] for _, name in RECEIPT)


def sign_receipt(ground: tuple[int, str], key: bytes, one: tuple[Any, ...]) -> bytes:
    """Sign a receipt."""
    return sign(key, typed(ground, "Receipt", RECEIPT, one))


def countersign(
    ground: tuple[int, str], key: bytes, one: tuple[Any, ...], customer: Any, slot: int
) -> tuple[tuple[Any, ...], bytes]:
    """Return a gateway's acceptance of a receipt and its signature."""
    counter = (bytes(typed(ground, "Receipt", RECEIPT, one).body), str(customer), slot, 30, 40, 2)
    return counter, sign(key, typed(ground, "Countersignature", COUNTERSIGNATURE, counter))


# -------------------------------------------------------------------------------------------------------- measured


def measured(
    market: Market,
    provider: Any,
    epoch: int,
    downs: Mapping[int, int],
    histograms: Mapping[int, int] | None = None,
    **masks: int,
) -> MeasuredLeaf:
    """Return what verifiers, given by their numbers, measured: the slots that each saw down."""
    days = []
    for number, down in downs.items():
        key, times = VERIFIER_KEYS[number], (histograms or {}).get(number, 0)
        signature = sign_day(market.ground, key, probe_day(provider, epoch, FULL & ~down, times))
        days.append(MeasuredDay(Account.from_key(key).address.lower(), words(FULL & ~down), times, signature))
    duty, served, void = (words(masks.get(name, default)) for name, default in DEFAULT_MASKS)
    ascending = tuple(sorted(days, key=lambda day: day.verifier))
    return MeasuredLeaf(str(provider).lower(), duty, served, void, ascending)


DEFAULT_MASKS = (("duty", FULL), ("served", 0), ("void", 0))


def join(six: Sequence[int]) -> int:
    """Return six words as a mask."""
    return sum(word << (256 * i) for i, word in enumerate(six))


def computed(one: MeasuredLeaf) -> dict[str, Any]:
    """Compute, slot by slot, what a leaf has to say of a measured leaf."""
    if len(one.days) < QUORUM:
        return {"uptime_ppm": WHOLE, "ttft_p95_bucket": 255, "measured": False}
    duty, served, void = join(one.duty), join(one.served), join(one.void)
    counted = [slot for slot in range(SLOTS) if duty >> slot & 1 and not void >> slot & 1]
    down = 0
    for slot in counted:
        zeros = sum(1 for day in one.days if not join(day.up) >> slot & 1)
        down += 2 * zeros > len(one.days) and not served >> slot & 1
    uptime = (len(counted) - down) * WHOLE // len(counted) if counted else WHOLE
    counts = [sum(day.histogram >> (16 * bucket) & 0xFFFF for day in one.days) for bucket in range(16)]
    reached = [sum(counts[: bucket + 1]) * 100 >= sum(counts) * 95 for bucket in range(16)]
    return {
        "uptime_ppm": uptime,
        "ttft_p95_bucket": reached.index(True) if any(counts) else 255,
        "measured": bool(counted),
    }


@dataclass
class Case:
    """A report with what was measured behind it, ready to be challenged about one provider."""

    market: Market
    report: Report
    leaves: Sequence[MeasuredLeaf]
    provider: Any
    slash_id: int = 0

    def about(self, provider: Any) -> Case:
        """Return the same about somebody else."""
        return replace(self, provider=provider)

    @property
    def mine(self) -> MeasuredLeaf:
        return next(one for one in self.leaves if one.provider == str(self.provider).lower())

    def target(self, **changes: Any) -> tuple[Any, ...]:
        """Return an `IChallengeCourt.Target`, with some of it changed."""
        epoch, leaf, proof, signers = self.market.target(self.report, self.provider)
        given = {"epoch": epoch, "leaf": leaf, "proof": proof, "signers": signers} | changes
        return given["epoch"], given["leaf"], given["proof"], given["signers"]

    def proof(self, one: MeasuredLeaf | None = None) -> list[bytes]:
        """Return the proof of a measured leaf."""
        return reports.measured_proof(*self.market.ground, self.report.epoch, self.leaves, one or self.mine)

    def arguments(self) -> tuple[Any, ...]:
        """Return what most challenges begin with: target, measured leaf, its proof."""
        return self.target(), reports.plain(self.mine), self.proof()


def submitted(market: Market, leaves: Sequence[MeasuredLeaf], lies: Mapping[Any, Mapping[str, Any]]) -> Report:
    """Submit and complete a report of measured leaves; what `lies` says of a provider it says instead of the truth."""
    told = {str(provider).lower(): fields for provider, fields in lies.items()}
    said = [leaf_of(one, told.get(one.provider, {})) for one in leaves]
    return market.submitted(said, measured=leaves)


def leaf_of(one: MeasuredLeaf, lies: Mapping[str, Any]) -> Leaf:
    """Return the leaf of a measured leaf, with lies."""
    fields = computed(one) | dict(lies)
    return reports.make_leaf(one.provider, level=fields.pop("slash_level", 0), **fields)


def waiting(market: Market, small: MeasuredLeaf, lies: Mapping[str, Any] | None = None, *more: MeasuredLeaf) -> Case:
    """Let a report about `small` and others wait for its activation."""
    leaves = sorted((small, *more), key=lambda one: one.provider)
    owner = next(account for account in accounts if account.address.lower() == small.provider)
    report = submitted(market, leaves, {small.provider: lies or {}})
    return Case(market, report, leaves, owner)


def slashed(market: Market, small: MeasuredLeaf, lies: Mapping[str, Any] | None = None, *more: MeasuredLeaf) -> Case:
    """Bring such a report into force and open the slash; `lies` names a level."""
    case = waiting(market, small, lies, *more)
    market.activate(case.report)
    return replace(case, slash_id=market.propose(case.report, case.provider, proposer=market.fresh))
