"""Events of the courts: slashes, challenges, and what verifiers lose. No web3 here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from contracts.event_base import Event

# --------------------------------------------------------------------------------------------------- SlashingCourt


@dataclass(frozen=True, slots=True)
class _Court(Event):
    CONTRACT: ClassVar[str] = "SlashingCourt"


@dataclass(frozen=True, slots=True)
class SlashProposed(_Court):
    """A slash was opened; `harmed` is the root over the pages of the harmed, zero for nobody."""

    id: int
    provider: str
    epoch: int
    code: int
    amount: int
    executable_at: int
    proposer: str
    bond: int
    harmed: bytes
    queued: bool


@dataclass(frozen=True, slots=True)
class SlashCut(_Court):
    """A slash was cut because availability slashes of thirty days reached their limit."""

    id: int
    provider: str
    full: int
    amount: int


@dataclass(frozen=True, slots=True)
class SlashContested(_Court):
    """A slash was put before the arbitrator."""

    id: int
    contestant: str
    bond: int
    reason: bytes
    rule_by: int


@dataclass(frozen=True, slots=True)
class SlashRuled(_Court):
    """The arbitrator decided."""

    id: int
    upheld: bool


@dataclass(frozen=True, slots=True)
class SlashReleased(_Court):
    """A queued slash may go on."""

    id: int


@dataclass(frozen=True, slots=True)
class SlashCancelled(_Court):
    """A slash ended without effect, by a proof, the arbitrator, or its silence."""

    id: int
    by: str


@dataclass(frozen=True, slots=True)
class SlashExecuted(_Court):
    """A slash was carried out and what it took was split."""

    id: int
    provider: str
    taken: int
    to_harmed: int
    to_prover: int
    to_sla_fund: int
    burned: int


@dataclass(frozen=True, slots=True)
class PageCompensated(_Court):
    """A page of harmed customers got its part."""

    id: int
    index: int
    given: int


@dataclass(frozen=True, slots=True)
class CompensationClosed(_Court):
    """All pages are in; what rounding left went to the SLA fund."""

    id: int
    dust: int


@dataclass(frozen=True, slots=True)
class BondSettled(_Court):
    """A bond of a proposer or contestant was given back or lost."""

    id: int
    poster: str
    to_poster: int
    winner: str
    to_winner: int
    burned: int


@dataclass(frozen=True, slots=True)
class ReceiptsEquivocated(_Court):
    """Two receipts of a provider for one attempt were shown."""

    id: int
    provider: str
    job: bytes
    attempt: int
    prover: str


@dataclass(frozen=True, slots=True)
class DaysEquivocated(_Court):
    """Two ProbeDays of a verifier for one provider and epoch were shown."""

    verifier: str
    provider: str
    epoch: int
    prover: str


@dataclass(frozen=True, slots=True)
class VerifierSlashed(_Court):
    """A verifier lost a part of its bond."""

    verifier: str
    epoch: int
    taken: int


@dataclass(frozen=True, slots=True)
class VerifierSlashSplit(_Court):
    """What verifiers lost was split."""

    epoch: int
    vindicated: str
    to_vindicated: int
    prover: str
    to_prover: int
    to_sla_fund: int
    burned: int


# -------------------------------------------------------------------------------------------------- ChallengeCourt


@dataclass(frozen=True, slots=True)
class ChallengeSustained(Event):
    """A report was proven wrong about a provider; `slash_id` is zero where the report itself was cancelled."""

    CONTRACT: ClassVar[str] = "ChallengeCourt"
    epoch: int
    provider: str
    ground: int
    challenger: str
    slash_id: int
