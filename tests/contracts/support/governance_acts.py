"""Calls that go through of what governs: clock, guardian, access manager, timelock; and of the tokens."""

from __future__ import annotations

from typing import Any

from tests.contracts.support.act import Act, itself
from tests.contracts.support.market import PAY, Market

NONE32 = b"\x00" * 32
ROLE = 9  # nobody's


def acts(market: Market) -> dict[str, Act]:
    """Return an act for every function of these contracts, by their names in `Market`."""
    return _rules(market) | _authority(market) | _timelock(market) | _token(market)


def _rules(m: Market) -> dict[str, Act]:
    authority, setter = itself(m.authority), m.parameter_setter
    rules, limits = tuple(m.clock.rules()), tuple(m.clock.limits())
    every = {
        "clock.open": Act(m.clock.open, lambda: (m.now(),), setter, error="AlreadyOpen"),
        "clock.setRules": Act(m.clock.setRules, lambda: (rules,), setter),
        "clock.setLimits": Act(m.clock.setLimits, lambda: (limits,), setter),
        "guardian.pause": Act(m.guardian.pause, lambda: (20,), m.pauser),
        "guardian.unpause": Act(m.guardian.unpause, lambda: (), m.pauser, m.pause),
    }
    for name in ("clock", "guardian", "court"):
        function = getattr(m, name).setAuthority
        every[f"{name}.setAuthority"] = Act(function, lambda: (m.timelock.address,), authority)
    return every


def _authority(m: Market) -> dict[str, Act]:
    authority, admin, target = m.authority, m.admin, m.clock.address
    selectors = [m.clock.setRules.signature]
    limits = m.clock.setLimits.encode_input(tuple(m.clock.limits()))

    def delayed() -> None:
        authority.grantRole(1, m.parameter_setter, 60, {"from": admin})
        m.wait(5 * 86_400)  # a delay grows at once; what shrinks it waits

    def scheduled() -> None:
        delayed()
        authority.schedule(target, limits, 0, {"from": m.parameter_setter})

    def ready() -> None:
        scheduled()
        m.wait(60)

    one, two = m.egon.address, m.parameter_setter
    return {
        "authority.labelRole": Act(authority.labelRole, lambda: (ROLE, "NINE"), admin),
        "authority.grantRole": Act(authority.grantRole, lambda: (ROLE, one, 0), admin),
        "authority.revokeRole": Act(authority.revokeRole, lambda: (1, m.parameter_setter.address), admin),
        "authority.renounceRole": Act(authority.renounceRole, lambda: (1, two.address), two),
        "authority.setRoleAdmin": Act(authority.setRoleAdmin, lambda: (ROLE, 1), admin),
        "authority.setRoleGuardian": Act(authority.setRoleGuardian, lambda: (ROLE, 1), admin),
        "authority.setGrantDelay": Act(authority.setGrantDelay, lambda: (ROLE, 60), admin),
        "authority.setTargetFunctionRole": Act(
            authority.setTargetFunctionRole, lambda: (target, selectors, ROLE), admin
        ),
        "authority.setTargetAdminDelay": Act(authority.setTargetAdminDelay, lambda: (target, 60), admin),
        "authority.setTargetClosed": Act(authority.setTargetClosed, lambda: (target, True), admin),
        "authority.updateAuthority": Act(authority.updateAuthority, lambda: (target, m.timelock.address), admin),
        "authority.schedule": Act(authority.schedule, lambda: (target, limits, 0), two, delayed),
        "authority.execute": Act(authority.execute, lambda: (target, limits), two, ready),
        "authority.cancel": Act(authority.cancel, lambda: (two.address, target, limits), two, scheduled),
        "authority.consumeScheduledOp": Act(
            authority.consumeScheduledOp,
            lambda: (two.address, limits),
            itself(m.clock),
            error="AccessManagerUnauthorizedConsume",  # except in the middle of a scheduled call
        ),
        "authority.multicall": Act(authority.multicall, lambda: ([],), m.stranger),
    }


def _timelock(m: Market) -> dict[str, Act]:
    timelock, admin, lock = m.timelock, m.admin, itself(m.timelock)
    limits = m.clock.setLimits.encode_input(tuple(m.clock.limits()))
    operation = (m.clock.address, 0, limits, NONE32, NONE32)
    batch = ([m.clock.address], [0], [limits], NONE32, NONE32)
    proposer = timelock.PROPOSER_ROLE()
    received = (admin.address, admin.address, 1)

    def scheduled() -> None:
        timelock.schedule(*operation, 0, {"from": admin})

    def batch_scheduled() -> None:
        timelock.scheduleBatch(*batch, 0, {"from": admin})

    return {
        "timelock.schedule": Act(timelock.schedule, lambda: (*operation, 0), admin),
        "timelock.scheduleBatch": Act(timelock.scheduleBatch, lambda: (*batch, 0), admin),
        "timelock.execute": Act(timelock.execute, lambda: operation, admin, scheduled),
        "timelock.executeBatch": Act(timelock.executeBatch, lambda: batch, admin, batch_scheduled),
        "timelock.cancel": Act(timelock.cancel, lambda: (timelock.hashOperation(*operation),), admin, scheduled),
        "timelock.updateDelay": Act(timelock.updateDelay, lambda: (60,), lock),
        "timelock.grantRole": Act(timelock.grantRole, lambda: (proposer, m.egon.address), lock),
        "timelock.revokeRole": Act(timelock.revokeRole, lambda: (proposer, admin.address), lock),
        "timelock.renounceRole": Act(timelock.renounceRole, lambda: (proposer, admin.address), admin),
        "timelock.onERC721Received": Act(timelock.onERC721Received, lambda: (*received, b""), m.stranger),
        "timelock.onERC1155Received": Act(timelock.onERC1155Received, lambda: (*received, 1, b""), m.stranger),
        "timelock.onERC1155BatchReceived": Act(
            timelock.onERC1155BatchReceived, lambda: (*received[:2], [1], [1], b""), m.stranger
        ),
    }


def _token(m: Market) -> dict[str, Act]:
    token, anybody = m.payment_token, m.stranger
    permit: tuple[Any, ...] = (anybody.address, m.escrow.address, PAY, m.now() + 60, 27, b"\x01" * 32, b"\x01" * 32)

    def allowed() -> None:
        token.approve(m.egon, PAY, {"from": m.dora})

    return {
        "payment_token.mint": Act(token.mint, lambda: (m.egon.address, PAY), anybody),
        "payment_token.transfer": Act(token.transfer, lambda: (m.egon.address, PAY), anybody),
        "payment_token.approve": Act(token.approve, lambda: (m.egon.address, PAY), anybody),
        "payment_token.transferFrom": Act(
            token.transferFrom, lambda: (m.dora.address, m.egon.address, PAY), m.egon, allowed
        ),
        "payment_token.permit": Act(token.permit, lambda: permit, anybody, error="ERC2612InvalidSigner"),
    }
