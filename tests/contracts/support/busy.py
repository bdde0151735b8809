"""A market in the middle of its life, in which nearly every function of every contract can succeed at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brownie import accounts
from eth_utils import keccak

from contracts.types import Report
from tests.contracts.support import reports
from tests.contracts.support.market import CPU, PAY, STAKE, VERIFIER_KEYS, Market
from tests.contracts.support.reports import make_leaf
from tests.contracts.support.statements import ALL_SLOTS, measured_leaf

GATEWAY_KEY = keccak(text="gateway gina")
NEARLY_NINETY = (ALL_SLOTS[0] & ~(0x7F << 10), *ALL_SLOTS[1:])
"""Seven of sixty slots down, from the tenth on: one slot less, and no level 3 follows."""


@dataclass
class Life:
    """What became of a busy market: its people, reports and slashes."""

    gina: Any  # a gateway
    hugo: Any  # was a gateway; its bond can be withdrawn
    key: Any  # bob's session key
    settled: Report  # activated, everything pushed
    unpushed: Report  # activated, neither credits nor pools pushed
    waiting: Report  # complete
    partial: Report  # submitted, nothing else
    executed: int  # a slash with a page of harmed customers to give
    open: int  # a slash in its challenge window
    queued: int  # a slash that waits for release
    pages: list[Any]  # of the harmed of `executed`
    measured: dict[int, list[Any]]  # by epoch, in the order of leaves


def busy(market: Market) -> Life:
    """Let four epochs pass, with every kind of act in them."""
    m = market
    gina, hugo, key = accounts.add(GATEWAY_KEY), accounts[14], accounts[15]
    for person in (gina, hugo, key):
        m.furnish(person)
    for person in (gina, hugo):
        m.gateways.join(f"http://{person.address}", {"from": person})
    m.gateways.leave({"from": hugo})
    m.delegation.delegate(m.large, 100 * STAKE, {"from": m.dora})
    m.delegation.delegate(m.small, 50 * STAKE, {"from": m.dora})
    m.delegation.undelegate(m.small, 20 * STAKE, {"from": m.dora})
    m.staking.unbond(20 * STAKE, m.risk(m.small), {"from": m.small})
    m.escrow.requestWithdrawal(100 * PAY, {"from": m.alice})
    m.escrow.setSession(key, m.now() + 86_400, 90 * PAY, {"from": m.bob})
    m.staking.declareMaintenance(m.now() + 5_000, m.now() + 5_100, {"from": m.small})

    pages = reports.harm_pages({m.alice: 2, m.bob: 1}, size=1)
    settled = m.settle(
        [make_leaf(m.small, 20 * PAY, PAY, level=2), make_leaf(m.large, 20 * PAY, PAY)],
        charges={m.alice: 50 * PAY},
        payees={m.verifier_accounts[0]: PAY // 2},
        pools={m.large: PAY},
        harms={m.small: reports.harm_root(pages)},
        treasury=PAY,
    )
    executed = m.propose(settled, m.small)
    m.execute(executed)
    m.court.compensate(executed, pages[0], reports.page_proof(pages, 0), {"from": m.stranger})

    keys = tuple(VERIFIER_KEYS[:2])
    down = [
        measured_leaf(m.ledger.address, m.small, 1, keys, NEARLY_NINETY),
        measured_leaf(m.ledger.address, m.large, 1, keys),
    ]
    measured = {1: sorted([*down, measured_leaf(m.ledger.address, m.fresh, 1)], key=lambda leaf: leaf.provider)}
    unpushed = m.submitted(
        [
            make_leaf(m.small, 25 * PAY, PAY, level=3),
            make_leaf(m.large, 25 * PAY, PAY, level=6),
            make_leaf(m.fresh, level=4),
        ],
        charges={m.alice: 20 * PAY, m.bob: 10 * PAY},
        credits={(m.bob, m.small): PAY},
        pools={m.large: PAY},
        measured=measured[1],
    )
    m.activate(unpushed)

    m.register(m.fresh, CPU, 1)  # some seconds into epoch 2
    assert m.now() > m.clock.epochStart(2)
    down = [measured_leaf(m.ledger.address, p, 2, keys) for p in (m.small, m.large)]
    measured[2] = sorted([*down, measured_leaf(m.ledger.address, m.fresh, 2)], key=lambda leaf: leaf.provider)
    leaves = [
        make_leaf(m.small, 24 * PAY, PAY, level=3),
        make_leaf(m.large, 31 * PAY, PAY, uptime_ppm=0),
        make_leaf(m.fresh),
    ]
    waiting = m.submitted(leaves, charges={m.alice: 10 * PAY}, measured=measured[2])
    partial = m.next_report(leaves, charges={m.alice: 3 * PAY})
    m.submit(partial)
    m.wait(10)

    opened = m.propose(unpushed, m.small)
    m.next_block_at(m.now() + 1)
    queued = m.propose(unpushed, m.large)
    slashes = [m.court.slash(i) for i in (opened, queued)]
    assert [slash["queued"] for slash in slashes] == [False, True]
    return Life(gina, hugo, key, settled, unpushed, waiting, partial, executed, opened, queued, pages, measured)
