"""Find what `ChallengeCourt` would sustain against a report, and make the transaction ready to be sent.

The contract itself is the judge: each challenge that could be made is tried against the newest block without being
sent, and kept if it would succeed. What needs no evidence (a leaf that contradicts itself or the one before) is read
from the chain's events; what was measured comes from the evidence and must hash to the root that was signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.challenges import Challenges, Served
from contracts.errors import RpcRefused
from contracts.history import PublishedReport, read_report
from contracts.leaves import leaf_hashes, proof
from contracts.measured import measured_hashes
from contracts.messages import Status
from contracts.operators import Operators
from contracts.staking import Staking
from contracts.types import ChallengeTarget, Checkpoint, Leaf, MeasuredLeaf, Timing
from marketplace.errors import BondedError

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.chain import Chain
    from rewards.blobs import Source
    from rewards.types import Attempt

_ANYBODY = "0x" + "00" * 19 + "01"
_AT_ONCE = 8
_VOID_ABOVE_PPM = 300_000
_PPM = 1_000_000
_WORD_BITS = 256


class NotChallengeable(BondedError):
    """The report's leaves are not all on chain yet, or what was measured is not what the verifiers signed."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that would succeed at the block it was tried on."""

    epoch: int
    provider: str
    ground: int
    words: str
    to: str
    data: bytes


class BadReceipts(BondedError):
    """A line of the file of receipts is no attempt: write them in the form of attempts.jsonl."""


def read_receipts(path: Path) -> list[Attempt]:
    """Read accepted receipts in the form of attempts.jsonl (docs/protocol.md, section 3.4); raises BadReceipts."""
    from rewards.attempt_lines import read_lines
    from rewards.canonical import Unreadable

    try:
        with path.open() as lines:
            return list(read_lines(lines))
    except (Unreadable, ValueError) as error:
        raise BadReceipts(f"{path.name} is not readable as attempts.jsonl: {error}") from None


async def find_challenges(
    chain: Chain, epoch: int, source: Source | None, receipts: Sequence[Attempt] = ()
) -> list[Challenge]:
    """Return every challenge to an epoch's report that would succeed; raises ReportMissing or NotChallengeable.

    Without evidence only the leaves are judged. `receipts` are held against the slots that count as down (ground 7). At
    most one challenge of a ground is returned for a provider.
    """
    head = await chain.head()
    published = await read_report(chain, epoch, head)
    if "leaves" in published.missing:
        raise NotChallengeable("not all leaves of this report are on chain yet")
    targets = _targets(chain, published)
    candidates = [*_of_leaves(chain, targets), *await _of_sequence(chain, epoch, targets, head)]
    if source is not None:
        measured = await asyncio.to_thread(_measured, source, published.signed.evidence)
        candidates += await _of_measurements(chain, epoch, published, targets, measured, head)
        if receipts:
            candidates += await _of_receipts(chain, epoch, targets, measured, receipts, head)
    turn = asyncio.Semaphore(_AT_ONCE)
    kept = await asyncio.gather(*[_tried(chain, turn, one) for one in candidates])
    return [one for one in kept if one is not None]


Candidate = tuple[ChallengeTarget, int, str, "Call"]


async def _tried(chain: Chain, turn: asyncio.Semaphore, candidate: Candidate) -> Challenge | None:
    target, ground, words, call = candidate
    async with turn:
        try:
            await chain.request(
                "eth_call", [{"from": _ANYBODY, "to": call.to, "data": "0x" + call.data.hex()}, "latest"]
            )
        except RpcRefused:
            return None
    return Challenge(target.epoch, target.leaf.provider, ground, words, call.to, call.data)


def _targets(chain: Chain, published: PublishedReport) -> list[ChallengeTarget]:
    report, domain = published.report, chain.deployment.domain()
    hashes = leaf_hashes(domain.chain_id, domain.epoch_ledger, report)
    signers = tuple(sorted(published.signers))
    return [
        ChallengeTarget(report.epoch, leaf, proof(hashes, index), signers) for index, leaf in enumerate(report.leaves)
    ]


def _of_leaves(chain: Chain, targets: Iterable[ChallengeTarget]) -> Iterator[Candidate]:
    challenges = Challenges(chain)
    for target in targets:
        yield target, 6, "the leaf contradicts itself", challenges.leaf(target)


async def _of_sequence(
    chain: Chain, epoch: int, targets: Iterable[ChallengeTarget], head: Checkpoint
) -> list[Candidate]:
    if not epoch:
        return []
    before = await read_report(chain, epoch - 1, head)
    domain = chain.deployment.domain()
    hashes = leaf_hashes(domain.chain_id, domain.epoch_ledger, before.report)
    known: dict[str, tuple[int, Leaf]] = {leaf.provider: (i, leaf) for i, leaf in enumerate(before.report.leaves)}
    challenges = Challenges(chain)
    made: list[Candidate] = []
    for target in targets:
        if target.leaf.provider in known:
            index, earlier = known[target.leaf.provider]
            call = challenges.sequence(target, earlier, proof(hashes, index))
            made.append((target, 6, "the leaf contradicts the one of the epoch before", call))
    return made


def _measured(source: Source, evidence: bytes) -> tuple[MeasuredLeaf, ...]:
    from rewards.evidence import read_bundle
    from rewards.settlement import settle

    return settle(read_bundle(source, evidence).inputs).measured


async def _of_measurements(
    chain: Chain,
    epoch: int,
    published: PublishedReport,
    targets: list[ChallengeTarget],
    measured: tuple[MeasuredLeaf, ...],
    head: Checkpoint,
) -> list[Candidate]:
    from contracts.clock import Clock
    from contracts.leaves import root

    domain = chain.deployment.domain()
    hashes = measured_hashes(domain.chain_id, domain.epoch_ledger, epoch, measured)
    if root(hashes) != published.signed.measurements:
        raise NotChallengeable(
            "what was measured by this evidence is not what the verifiers signed: the code differs, or they lied about "
            "it; without their words no contract can judge it, so keep the evidence and tell the arbitrator"
        )
    challenges, timing = Challenges(chain), await Clock(chain).timing(head)
    proofs = [proof(hashes, index) for index in range(len(hashes))]
    leaf_of = {one.provider: index for index, one in enumerate(measured)}
    void = _void_slot(measured, timing.slots_per_epoch)
    made: list[Candidate] = []
    for target in targets:
        index = leaf_of[target.leaf.provider]
        one, path = measured[index], proofs[index]
        made.append((target, 1, "a ProbeDay is not a verifier's", challenges.signatures(target, one, path)))
        made.append((target, 2, "uptime or p95 differ when computed again", challenges.computation(target, one, path)))
        slot = await _slot_off_duty(chain, one, epoch, timing, head)
        if slot is not None:
            call = challenges.duty(target, one, path, slot)
            made.append((target, 3, f"slot {slot} counts before registration or in declared maintenance", call))
        if void is not None and _bit(_word(one.duty), void[0]):
            slot, down = void
            others = [measured[leaf_of[name]] for name in down if name != one.provider]
            shown = [proofs[leaf_of[other.provider]] for other in others]
            call = challenges.void(target, one, path, slot, others, shown)
            made.append((target, 4, f"slot {slot} counts although too many were down in it", call))
    return made


async def _of_receipts(
    chain: Chain,
    epoch: int,
    targets: list[ChallengeTarget],
    measured: tuple[MeasuredLeaf, ...],
    receipts: Sequence[Attempt],
    head: Checkpoint,
) -> list[Candidate]:
    """Bring for each provider the fewest receipts that undo its level."""
    from contracts.clock import Clock
    from rewards.served import slots_needed

    domain, timing = chain.deployment.domain(), await Clock(chain).timing(head)
    quorum = await Operators(chain, "Verifiers").quorum(head)
    hashes = measured_hashes(domain.chain_id, domain.epoch_ledger, epoch, measured)
    index_of = {one.provider: index for index, one in enumerate(measured)}
    first = epoch * timing.slots_per_epoch
    made: list[Candidate] = []
    for target in targets:
        provider, index = target.leaf.provider, index_of[target.leaf.provider]
        kept = {
            one.countersignature.slot - first: one
            for one in receipts
            if one.receipt.provider == provider and one.receipt.status == Status.SERVED
        }
        needed = slots_needed(target.leaf.slash_level, measured[index], kept, quorum, timing, epoch)
        if not needed:
            continue
        shown = [_shown(kept[slot]) for slot in needed]
        call = Challenges(chain).served(target, measured[index], proof(hashes, index), shown)
        made.append((target, 7, f"customers were served in {len(shown)} slots that count as down", call))
    return made


def _shown(one: Attempt) -> Served:
    return Served(one.receipt, one.provider_signature, one.countersignature, one.gateway_signature)


async def _slot_off_duty(chain: Chain, one: MeasuredLeaf, epoch: int, timing: Timing, head: Checkpoint) -> int | None:
    """Return a slot that counts although it begins before registration or in declared maintenance."""
    staking = Staking(chain)
    view = await staking.provider(one.provider, head)
    start, end = timing.epoch_start(epoch), timing.epoch_end(epoch)
    windows = await staking.maintenance(one.provider, start, end, head)
    duty = _word(one.duty)
    for slot in range(timing.slots_per_epoch):
        begins = start + slot * timing.slot_s
        early = view is not None and begins < view.registered_at
        away = any(window.starts_at <= begins < window.ends_at for window in windows)
        if _bit(duty, slot) and (early or away):
            return slot
    return None


def _void_slot(measured: Iterable[MeasuredLeaf], slots: int) -> tuple[int, list[str]] | None:
    """Return a slot that should have been void and is not, with who was down in it, ascending."""
    leaves = [(one.provider, _word(one.duty), _down(one, slots), _word(one.void)) for one in measured]
    for slot in range(slots):
        on_duty = sum(_bit(duty, slot) for _, duty, _, _ in leaves)
        down = sorted(name for name, duty, downs, _ in leaves if _bit(duty & downs, slot))
        if len(down) * _PPM > on_duty * _VOID_ABOVE_PPM and not any(_bit(void, slot) for *_, void in leaves):
            return slot, down
    return None


def _down(one: MeasuredLeaf, slots: int) -> int:
    """Return the slots in which more than half of the days say that the provider was down."""
    days = [_word(day.up) for day in one.days]
    return sum(1 << slot for slot in range(slots) if 2 * sum(not _bit(day, slot) for day in days) > len(days))


def _word(six: tuple[int, ...]) -> int:
    return sum(word << (_WORD_BITS * index) for index, word in enumerate(six))


def _bit(word: int, slot: int) -> bool:
    return bool(word >> slot & 1)
