"""For every function that changes something: who may call it with which arguments, so that the call goes through.

`acts(market, life)` is made for a market brought to life by `busy`. Tests of pauses and of permissions walk over all of
them; a function that is missing here fails those tests.
"""

from __future__ import annotations

from typing import Any

from brownie import web3
from eth_account import Account
from eth_utils import keccak

from contracts.types import Report
from tests.contracts.support import governance_acts, reports, statements
from tests.contracts.support.act import Act, itself
from tests.contracts.support.busy import GATEWAY_KEY, Life
from tests.contracts.support.market import CPU, JAIL, NOTHING, PAY, STAKE, VERIFIER_KEYS, Market
from tests.contracts.support.statements import plain_measured, probe_day, receipt

NONE32 = b"\x00" * 32


def acts(market: Market, life: Life) -> dict[str, Act]:
    """Return for every function that changes something (by its contract's name in `Market`) a call that works."""
    every: dict[str, Act] = {}
    for group in (_ledger, _staking, _delegation, _escrow, _operators, _court, _challenges):
        every |= group(market, life)
    return every | governance_acts.acts(market)


# ---------------------------------------------------------------------------------------------------------- by contract


def _ledger(m: Market, life: Life) -> dict[str, Act]:
    ledger, anybody = m.ledger, m.stranger
    chunk_roots = reports.chunk_roots(*m.ground, life.partial)
    partial, waiting, unpushed = life.partial, life.waiting, life.unpushed

    def plain(items: Any) -> list[Any]:
        return [reports.plain(each) for each in items]

    def following() -> tuple[Any, ...]:
        report = m.next_report(partial.leaves)
        return reports.signed(*m.ground, report), m.sign(report)

    def ready_for_the_next() -> None:
        m.complete(partial)
        m.end_of(partial.epoch + 1)

    def struck() -> None:
        ledger.cancel(waiting.epoch, {"from": itself(m.challenges)})

    claim = m.claim_arguments(life.settled, m.large)
    return {
        "ledger.fundIncentives": Act(ledger.fundIncentives, lambda: (PAY,), anybody),
        "ledger.submit": Act(ledger.submit, following, anybody, ready_for_the_next),
        "ledger.publishLeaves": Act(
            ledger.publishLeaves, lambda: (partial.epoch, chunk_roots, 0, reports.packed(partial)[0]), anybody
        ),
        "ledger.takeCharges": Act(
            ledger.takeCharges,
            lambda: (partial.epoch, reports.movements(partial), 0, plain(partial.charges)),
            anybody,
        ),
        "ledger.activate": Act(ledger.activate, lambda: m.activation(waiting), anybody),
        "ledger.pushCredits": Act(
            ledger.pushCredits,
            lambda: (unpushed.epoch, reports.movements(unpushed), 0, plain(unpushed.credits)),
            anybody,
        ),
        "ledger.pushPools": Act(
            ledger.pushPools,
            lambda: (unpushed.epoch, reports.movements(unpushed), 0, plain(unpushed.pools)),
            anybody,
        ),
        "ledger.cancel": Act(ledger.cancel, lambda: (partial.epoch,), anybody),
        "ledger.refund": Act(
            ledger.refund,
            lambda: (
                reports.digest(*m.ground, waiting),
                reports.movements(waiting),
                0,
                plain(waiting.charges),
            ),
            anybody,
            struck,
        ),
        "ledger.claim": Act(ledger.claim, lambda: claim, anybody),
        "ledger.claimOwed": Act(ledger.claimOwed, lambda: (), m.verifier_accounts[0]),
        "ledger.multicall": Act(ledger.multicall, lambda: ([ledger.claim.encode_input(*claim)],), anybody),
    }


def _staking(m: Market, life: Life) -> dict[str, Act]:
    staking, small = m.staking, m.small
    soon = m.now() + 6_000

    def jailed() -> None:
        staking.slash(small, 1, JAIL, {"from": itself(m.court)})

    def reopened() -> tuple[Any, ...]:
        return STAKE, m.risk(small, life.partial, life.settled)

    def hardware() -> tuple[Any, ...]:
        return small.address, 1, CPU, 2, hardware_signatures(m, small, 1, CPU, 2)

    return {
        "staking.register": Act(
            staking.register, lambda: (life.key.address, CPU, 1, keccak(text="o"), "local", "http://k"), m.egon
        ),
        "staking.update": Act(staking.update, lambda: (life.key.address, keccak(text="o"), "local", "http://k"), small),
        "staking.stake": Act(staking.stake, lambda: (STAKE,), small),
        "staking.stakeFor": Act(staking.stakeFor, lambda: (small.address, STAKE), m.stranger),
        "staking.unbond": Act(staking.unbond, reopened, small, lambda: m.complete(life.partial)),
        "staking.rebond": Act(
            staking.rebond,
            lambda: (STAKE,),
            small,
            lambda: staking.unbond(*reopened(), {"from": small}),
        ),
        "staking.declareMaintenance": Act(staking.declareMaintenance, lambda: (soon, soon + 60), small),
        "staking.cancelMaintenance": Act(staking.cancelMaintenance, lambda: (0,), small),
        "staking.measureHardware": Act(staking.measureHardware, hardware, m.stranger),
        "staking.withdraw": Act(staking.withdraw, lambda: (), small),
        "staking.unjail": Act(staking.unjail, lambda: (), small, jailed),
        "staking.slash": Act(staking.slash, lambda: (small.address, 1, NOTHING), itself(m.court)),
    }


def hardware_signatures(m: Market, provider: Any, epoch: int, hardware_class: int, units: int) -> list[bytes]:
    """Return what a quorum of verifiers signs about a provider's hardware, ascending."""
    values = (provider.address.lower(), epoch, hardware_class, units)
    ascending = sorted(VERIFIER_KEYS[:2], key=lambda key: int(Account.from_key(key).address, 16))
    return [statements.sign(key, m.ledger.address, "Hardware", values) for key in ascending]


def _delegation(m: Market, life: Life) -> dict[str, Act]:
    delegation, dora = m.delegation, m.dora

    def approved() -> None:
        m.payment_token.mint(m.ledger, PAY, {"from": m.stranger})
        m.payment_token.approve(delegation, PAY, {"from": itself(m.ledger)})

    return {
        "delegation.delegate": Act(delegation.delegate, lambda: (m.large.address, STAKE), m.stranger),
        "delegation.undelegate": Act(delegation.undelegate, lambda: (m.large.address, STAKE), dora),
        "delegation.withdraw": Act(delegation.withdraw, lambda: (m.small.address,), dora),
        "delegation.claimRewards": Act(delegation.claimRewards, lambda: (m.large.address,), dora),
        "delegation.setCommission": Act(delegation.setCommission, lambda: (100_000,), m.large),
        "delegation.reward": Act(delegation.reward, lambda: ([(m.large.address, PAY)],), itself(m.ledger), approved),
        "delegation.slash": Act(delegation.slash, lambda: (m.large.address, 1, m.court.address), itself(m.staking)),
        "delegation.mature": Act(delegation.mature, lambda: (m.small.address,), m.stranger),
    }


def _escrow(m: Market, life: Life) -> dict[str, Act]:
    escrow, alice, ledger, court = m.escrow, m.alice, itself(m.ledger), itself(m.court)
    epoch, deadline = m.clock.currentEpoch(), m.now() + 86_400

    def approved() -> None:
        m.payment_token.mint(ledger, PAY, {"from": m.stranger})
        m.payment_token.approve(escrow, PAY, {"from": ledger})

    def court_approved() -> None:
        m.stake_token.mint(court, STAKE, {"from": m.stranger})
        m.stake_token.approve(escrow, STAKE, {"from": court})

    def thawing() -> None:
        escrow.cancelWithdrawal({"from": alice})
        escrow.requestWithdrawal(PAY, {"from": alice})

    owner = m.verifier_accounts[3]  # whose key the tests know
    values = (owner.address, escrow.address, PAY, m.payment_token.nonces(owner), deadline)
    v, r, s = permit_signature(m.payment_token, VERIFIER_KEYS[3], values)
    return {
        "escrow.deposit": Act(escrow.deposit, lambda: (alice.address, PAY), m.stranger),
        "escrow.depositWithPermit": Act(
            escrow.depositWithPermit, lambda: (alice.address, PAY, deadline, v, r, s), owner
        ),
        "escrow.setCap": Act(escrow.setCap, lambda: (90 * PAY,), alice),
        "escrow.setSession": Act(escrow.setSession, lambda: (m.egon.address, m.now() + 600, PAY), alice),
        "escrow.setCapBySession": Act(escrow.setCapBySession, lambda: (60 * PAY,), life.key),
        "escrow.requestWithdrawal": Act(escrow.requestWithdrawal, lambda: (PAY,), alice),
        "escrow.cancelWithdrawal": Act(escrow.cancelWithdrawal, lambda: (), alice, thawing),
        "escrow.withdraw": Act(escrow.withdraw, lambda: (), alice),
        "escrow.withdrawCompensation": Act(escrow.withdrawCompensation, lambda: (), compensated(m, life)),
        "escrow.fundSla": Act(escrow.fundSla, lambda: (PAY,), m.stranger),
        "escrow.fundSlaStake": Act(escrow.fundSlaStake, lambda: (STAKE,), m.stranger),
        "escrow.burnSlaStake": Act(escrow.burnSlaStake, lambda: (), m.stranger),
        "escrow.charge": Act(escrow.charge, lambda: (epoch, [(alice.address, PAY)]), ledger),
        "escrow.returnCharges": Act(escrow.returnCharges, lambda: (epoch, [(alice.address, PAY)]), ledger, approved),
        "escrow.credit": Act(escrow.credit, lambda: ([(alice.address, m.small.address, PAY)],), ledger, approved),
        "escrow.settleFund": Act(escrow.settleFund, lambda: (PAY, PAY), ledger, approved),
        "escrow.compensate": Act(escrow.compensate, lambda: ([alice.address], [STAKE]), court, court_approved),
    }


def compensated(m: Market, life: Life) -> Any:
    """Return who was named on the page of harmed customers that was given."""
    return next(person for person in (m.alice, m.bob) if person.address.lower() == life.pages[0][3][0])


def permit_signature(token: Any, key: bytes, values: tuple[Any, ...]) -> tuple[int, bytes, bytes]:
    """Return v, r, s of an EIP-2612 permit (owner, spender, value, nonce, deadline)."""
    kinds = ("address owner", "address spender", "uint256 value", "uint256 nonce", "uint256 deadline")
    fields = [dict(zip(("type", "name"), kind.split(), strict=True)) for kind in kinds]
    domain = {
        "name": token.name(),
        "version": "1",
        "chainId": web3.eth.chain_id,
        "verifyingContract": token.address,
    }
    named = {field["name"]: value for field, value in zip(fields, values, strict=True)}
    signed = Account.from_key(key).sign_typed_data(domain, {"Permit": fields}, named)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def _operators(m: Market, life: Life) -> dict[str, Act]:
    third, fourth, court = m.verifier_accounts[2], m.verifier_accounts[3], itself(m.court)
    epoch = m.clock.currentEpoch()

    def room() -> None:
        m.verifiers.leave({"from": third})

    def released() -> None:
        room()
        m.wait(m.verifiers.unbondingSeconds())

    def at_the_end() -> None:
        m.wait_until(m.clock.epochEnd(epoch))

    every = {
        "verifiers.join": Act(m.verifiers.join, lambda: ("http://x",), fourth, room),
        "verifiers.withdraw": Act(m.verifiers.withdraw, lambda: (), third, released),
        "gateways.join": Act(m.gateways.join, lambda: ("http://x",), m.stranger),
        "gateways.withdraw": Act(m.gateways.withdraw, lambda: (), life.hugo),
    }
    for name, operators, who in (("verifiers", m.verifiers, third), ("gateways", m.gateways, life.gina)):
        every |= {
            f"{name}.setEndpoint": Act(operators.setEndpoint, lambda: ("http://y",), who),
            f"{name}.leave": Act(operators.leave, lambda: (), who),
            f"{name}.commitSeed": Act(operators.commitSeed, lambda: (epoch + 5, b"\x05" * 32), who),
            f"{name}.commitDays": Act(operators.commitDays, lambda: (epoch, b"\x05" * 32), who, at_the_end),
            f"{name}.slash": Act(operators.slash, lambda who=who: (who.address, 100_000), court),
        }
    return every


def _court(m: Market, life: Life) -> dict[str, Act]:
    court, anybody, challenges = m.court, m.stranger, itself(m.challenges)
    opened, queued = life.open, life.queued
    signer_key = keccak(text=f"signer of {m.small.address}")
    slot = m.clock.currentEpoch() * m.clock.slotsPerEpoch()
    pair = [receipt(m.small, slot, output_tokens=n) for n in (7, 8)]
    shown = [part for one in pair for part in (one, statements.sign(signer_key, m.ledger.address, "Receipt", one))]
    days = [probe_day(m.small, 2, statements.NO_SLOTS), probe_day(m.small, 2, statements.ALL_SLOTS)]
    third = VERIFIER_KEYS[2]
    days_shown = [part for one in days for part in (one, statements.sign(third, m.ledger.address, "ProbeDay", one))]

    def contested() -> None:
        m.next_block_at(m.now() + 1)
        court.contest(opened, NONE32, {"from": m.egon})

    def silent() -> None:
        contested()
        m.wait(court.arbitrationSeconds())

    def past_the_window() -> None:
        m.wait_until(court.slash(opened)["executableAt"])

    return {
        "court.propose": Act(court.propose, lambda: m.slash_arguments(life.unpushed, m.fresh), anybody),
        "court.contest": Act(court.contest, lambda: (opened, NONE32), anybody),
        "court.rule": Act(court.rule, lambda: (opened, False, []), m.arbitrator, contested),
        "court.release": Act(court.release, lambda: (queued,), m.parameter_setter),
        "court.lapse": Act(court.lapse, lambda: (opened,), anybody, silent),
        "court.execute": Act(court.execute, lambda: (opened,), anybody, past_the_window),
        "court.compensate": Act(
            court.compensate,
            lambda: (life.executed, life.pages[1], reports.page_proof(life.pages, 1)),
            anybody,
        ),
        "court.proveReceipts": Act(court.proveReceipts, lambda: tuple(shown), anybody),
        "court.proveProbeDays": Act(court.proveProbeDays, lambda: tuple(days_shown), anybody),
        "court.cancel": Act(court.cancel, lambda: (opened, anybody.address), challenges),
        "court.punish": Act(
            court.punish, lambda: (1, m.signers(), 100_000, m.small.address, STAKE, anybody.address), challenges
        ),
    }


def _challenges(m: Market, life: Life) -> dict[str, Act]:
    challenges, anybody, ledger = m.challenges, m.stranger, m.ledger.address

    def shown(report: Report, provider: Any) -> tuple[Any, ...]:
        """Return target, measured leaf and its proof."""
        measured = life.measured[report.epoch]
        one = next(leaf for leaf in measured if leaf.provider == provider.address.lower())
        proof = reports.measured_proof(*m.ground, report.epoch, measured, one)
        return m.target(report, provider), plain_measured(one), proof

    def others() -> tuple[Any, ...]:
        down = [leaf for leaf in life.measured[2] if leaf.days]
        proofs = [reports.measured_proof(*m.ground, 2, life.measured[2], leaf) for leaf in down]
        return 5, [plain_measured(leaf) for leaf in down], proofs

    def contradiction() -> tuple[Any, ...]:
        measured = next(x for x in life.measured[2] if x.provider == m.large.address.lower())
        key = next(k for k in VERIFIER_KEYS if Account.from_key(k).address.lower() == measured.days[0].verifier)
        other = probe_day(m.large, 2, statements.ALL_SLOTS)
        return 0, other, statements.sign(key, ledger, "ProbeDay", other)

    def served() -> tuple[Any, ...]:
        slot = 1 * m.clock.slotsPerEpoch() + 10
        one = receipt(m.small, slot)
        signature = statements.sign(keccak(text=f"signer of {m.small.address}"), ledger, "Receipt", one)
        counter = (statements.struct_hash(ledger, "Receipt", one), m.alice.address.lower(), slot, 120, 900, 2)
        accepted = statements.sign(GATEWAY_KEY, ledger, "Countersignature", counter)
        return ([(one, signature, counter, accepted)],)

    waiting, unpushed = life.waiting, life.unpushed
    before = m.proof(unpushed, m.small)
    return {
        "challenges.challengeSignatures": Act(challenges.challengeSignatures, lambda: shown(waiting, m.fresh), anybody),
        "challenges.challengeComputation": Act(
            challenges.challengeComputation, lambda: shown(waiting, m.fresh), anybody
        ),
        "challenges.challengeDuty": Act(challenges.challengeDuty, lambda: (*shown(waiting, m.fresh), 0), anybody),
        "challenges.challengeVoid": Act(
            challenges.challengeVoid, lambda: (*shown(waiting, m.fresh), *others()), anybody
        ),
        "challenges.challengeEquivocation": Act(
            challenges.challengeEquivocation, lambda: (*shown(waiting, m.large), *contradiction()), anybody
        ),
        "challenges.challengeLeaf": Act(challenges.challengeLeaf, lambda: (m.target(waiting, m.small),), anybody),
        "challenges.challengeSequence": Act(
            challenges.challengeSequence,
            lambda: (m.target(waiting, m.small), reports.plain(before[0]), before[1]),
            anybody,
        ),
        "challenges.challengeServed": Act(
            challenges.challengeServed, lambda: (*shown(unpushed, m.small), *served()), anybody
        ),
    }
