"""What canaries and checks make of a provider: is it the declared model, on the declared hardware?

Determinism canaries count one by one: so many asked, so many passed. A comparison of sampled answers is one verdict on
all of a verifier's answers together, its p-value (`rewards.verifier.equality`); it counts only where a quorum of
verifiers, each with prompts of its own, came to the same:

* a quorum at most `SUSPECT_PPB`: the answers these verifiers compared count as failed in *verification*;
* a quorum at most `WRONG_PPB`: a wrong result, level 7.

With three verifiers, a quorum of two and an exact test an honest provider is suspected in at most 3 of 10,000 epochs
and convicted in at most 3 of 100,000,000.

Special-casing: if failure does not look at who asks, the failures among the verifiers' first tries and the customers'
attempts fall as they happen to fall (Fisher's exact test, one-sided). With a quorum, `v` verifiers count as `v` times
the lower median of their tries and `v` times the upper median of those that failed, so that no minority moves either
past what an honest one saw. With a p-value of at most `SPECIAL_PPB` canaries and compared answers prove nothing,
because they were recognised: all of them count as failed. Three verifiers with 15 tries each, none failed, and three
customers, all failed: one deal of 17,296, so 57,817 ppb.

Hardware: with `s` the largest number of slow epochs on end that a quorum of verifiers all count, level 8 comes when `s`
is 3, and again at 6, 9 and so on. Verifiers count 4, 3 and 0: two of them, a quorum, count at least 3, so level 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from contracts.messages import CheckDay
from rewards.epoch import Work
from rewards.measurement import PPB
from rewards.types import EpochInputs, SignedCheckDay

SUSPECT_PPB = 10_000_000
WRONG_PPB = 100_000
SPECIAL_PPB = 100_000
SLOW_EPOCHS = 3
WRONG_LEVEL = 7
HARDWARE_LEVEL = 8

Finding = tuple[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Checked:
    """Canaries and compared answers asked and passed, the level that follows (0: none), and why, in numbers."""

    asked: int = 0
    passed: int = 0
    level: int = 0
    findings: tuple[Finding, ...] = ()


NOTHING = Checked()


def check(inputs: EpochInputs, work: Mapping[str, Work]) -> dict[str, Checked]:
    """Return what was found of every provider that was asked a canary or checked."""
    counts: dict[str, tuple[int, int]] = {}
    for canary in inputs.canary_days:
        asked, passed = counts.get(canary.day.provider, (0, 0))
        counts[canary.day.provider] = (asked + canary.day.asked, passed + canary.day.passed)
    days: dict[str, list[SignedCheckDay]] = {}
    for signed in inputs.check_days:
        days.setdefault(signed.day.provider, []).append(signed)
    return {
        name: _judge(counts.get(name, (0, 0)), days.get(name, ()), work[name], inputs.quorum)
        for name in sorted(counts.keys() | days.keys())
    }


def _judge(canaries: tuple[int, int], days: Sequence[SignedCheckDay], work: Work, quorum: int) -> Checked:
    asked, passed = canaries
    compared = [signed.day for signed in days if signed.day.completions]
    suspects = [day for day in compared if day.model_ppb <= SUSPECT_PPB]
    wrong = sum(day.model_ppb <= WRONG_PPB for day in compared)
    asked += sum(day.completions for day in compared)
    passed += sum(day.completions for day in compared)
    findings: list[Finding] = []
    level = 0
    if compared:
        numbers = {"verifiers": len(compared), "suspect": len(suspects), "wrong": wrong, "quorum": quorum}
        findings.append(("honest model = answers compared with a reference's, p-value by verifier", numbers))
    if len(suspects) >= quorum:
        passed -= sum(day.completions for day in suspects)
    if wrong >= quorum:
        level = WRONG_LEVEL
    special_ppb = _special_ppb([signed.day for signed in days if signed.day.tries], work, quorum)
    if special_ppb <= SPECIAL_PPB:
        passed = 0
        numbers = {"p_ppb": special_ppb, "customers_failed": work.failed - work.probed_failed}
        findings.append(("special-casing = customers fail where probes do not", numbers))
    slow = agreed((signed.day.slow_epochs for signed in days if signed.day.bursts), quorum)
    if slow:
        findings.append(("hardware = epochs on end below half of the declared class", {"slow_epochs": slow}))
    if slow and slow % SLOW_EPOCHS == 0:
        level = HARDWARE_LEVEL
    return Checked(asked, passed, level, tuple(findings))


def outcomes_ppb(probes: int, probes_failed: int, others: int, others_failed: int) -> int:
    """Return the p-value, in ppb rounded up, that failures miss the probes as they do or more (Fisher, 1935).

    Of `probes` first tries `probes_failed` failed, of `others` attempts `others_failed`. Four probes of which none and
    four others of which all failed: one of 70 deals, 14,285,715 ppb.
    """
    failed = probes_failed + others_failed
    deals = comb(probes + others, failed)
    low = sum(comb(probes, k) * comb(others, failed - k) for k in range(max(0, failed - others), probes_failed + 1))
    return -(-low * PPB // deals)


def _special_ppb(days: Sequence[CheckDay], work: Work, quorum: int) -> int:
    """Return the p-value of customers failing where probes do not; what verifiers paid for is no customer's."""
    others, failed = work.served + work.failed - work.probed, work.failed - work.probed_failed
    if not failed or len(days) < quorum:
        return PPB
    tries = sorted(day.tries for day in days)[(len(days) - 1) // 2]
    missed = sorted(day.failed_tries for day in days)[len(days) // 2]
    return outcomes_ppb(len(days) * tries, len(days) * min(missed, tries), others, failed)


def agreed(counts: Iterable[int], quorum: int) -> int:
    """Return the largest number that a quorum counts at least, 0 with fewer than a quorum: 4, 3, 0 and two → 3."""
    ordered = sorted(counts, reverse=True)
    return ordered[quorum - 1] if len(ordered) >= quorum else 0
