"""An intruder in the market, what it attempts in the middle of transfers, and what a transaction's trace says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from brownie import accounts
from eth_utils import keccak

from tests.contracts.support.market import CPU, NO_LEAF, PAY, STAKE, Market, rpc
from tests.contracts.support.refusals import decode_error
from tests.contracts.support.reports import harm_pages, harm_root, make_leaf

FAR = 2**63
INSTANCES = {"Verifiers": "BondedOperators", "Gateways": "BondedOperators"}
REFUSAL = ("ReentrancyGuardReentrantCall",)


@dataclass
class Trace:
    """What happened in a transaction.

    `reached`: functions of the market, as "Contract.function", in which tokens moved. `attempts`: whether the contract
    was at work at that moment, the contract, and what it answered (None if it did as it was told).
    """

    reached: set[str] = field(default_factory=set)
    attempts: list[tuple[bool, str, tuple[Any, ...] | None]] = field(default_factory=list)


class Stage:
    """The market with an intruder in every role: customer, provider, delegator, gateway, payee of nobody."""

    def __init__(self, market: Market, built: Any) -> None:
        self.market = market
        self.it = built.Intruder.deploy({"from": market.stranger})
        self.tokens = (market.stake_token, market.payment_token)
        self.names = {str(contract.address).lower(): name for name, contract in market.contracts.items()}
        self.functions = {
            name: {str(selector): function for selector, function in contract.selectors.items()}
            for name, contract in market.contracts.items()
        }
        spenders = (market.staking, market.delegation, market.verifiers, market.gateways, market.escrow, market.court)
        for token in self.tokens:
            token.mint(self.it, 10**9 * STAKE, {"from": market.stranger})
            for spender in (*spenders, market.ledger):
                self.act(token.approve, spender, 2**255)
        self.act(market.escrow.deposit, self.it, 1000 * PAY)
        self.act(market.escrow.setCap, 100 * PAY)
        signer = accounts.add(keccak(text="signer of the intruder")).address
        self.act(market.staking.register, signer, CPU, 1, b"\x07" * 32, "local", "http://it")
        self.act(market.staking.stake, 1000 * STAKE)
        self.act(market.delegation.delegate, market.small, 10 * STAKE)
        self.act(market.gateways.join, "http://it")
        attempts = [
            (contract.address, function.encode_input(*arguments)) for contract, function, *arguments in self.arms()
        ]
        self.it.arm(attempts, {"from": market.stranger})

    def arms(self) -> list[tuple[Any, ...]]:
        """Return what the intruder attempts in each transfer: everything that moves tokens and is open."""
        m = self.market
        return [
            (m.escrow, m.escrow.deposit, self.it, 1),
            (m.escrow, m.escrow.depositWithPermit, self.it, 1, FAR, 27, b"\x01" * 32, b"\x01" * 32),
            (m.escrow, m.escrow.fundSla, 1),
            (m.escrow, m.escrow.fundSlaStake, 1),
            (m.escrow, m.escrow.burnSlaStake),
            (m.escrow, m.escrow.withdraw),
            (m.escrow, m.escrow.withdrawCompensation),
            (m.staking, m.staking.stake, 1),
            (m.staking, m.staking.stakeFor, m.small, 1),
            (m.staking, m.staking.withdraw),
            (m.delegation, m.delegation.delegate, m.small, 1),
            (m.delegation, m.delegation.withdraw, m.small),
            (m.delegation, m.delegation.claimRewards, m.small),
            (m.verifiers, m.verifiers.join, "http://again"),
            (m.verifiers, m.verifiers.withdraw),
            (m.gateways, m.gateways.join, "http://again"),
            (m.gateways, m.gateways.withdraw),
            (m.ledger, m.ledger.fundIncentives, 1),
            (m.ledger, m.ledger.claimOwed),
            (m.ledger, m.ledger.claim, 0, [bytes(32)] * 2, []),
            (m.court, m.court.contest, 1, b"\x01" * 32),
            (m.court, m.court.execute, 1),
            (m.court, m.court.lapse, 1),
            (m.court, m.court.propose, 0, NO_LEAF, []),
        ]

    def act(self, function: Any, *arguments: Any) -> Any:
        """Let the intruder call a function in its own name."""
        return self.it.act(function._address, function.encode_input(*arguments), {"from": self.market.stranger})

    def strike(self, transaction: Callable[[], Any]) -> Trace:
        """Let a transaction happen while the intruder watches both tokens; returns what its trace says."""
        for token in self.tokens:
            token.watch(self.it, {"from": self.market.stranger})
        tx = transaction()
        assert tx.status == 1
        for token in self.tokens:
            token.watch("0x" + 40 * "0", {"from": self.market.stranger})
        trace = Trace()
        self._walk(rpc("debug_traceTransaction", tx.txid, {"tracer": "callTracer"}), [], trace)
        return trace

    def _walk(self, call: Any, at_work: list[str], trace: Trace) -> None:
        """Go through the calls in a call; `at_work` are the functions of the market around it."""
        to, selector = str(call.get("to", "")).lower(), str(call["input"])[:10]
        name = self.names.get(to, "")
        function = self.functions[name].get(selector, selector) if name else ""
        if name in ("StakeToken", "PaymentToken") and function in ("transfer", "transferFrom"):
            trace.reached.update(at_work)
        if to == str(self.it.address).lower() and selector == self.it.onTransfer.signature:
            trace.attempts.extend(self._attempts(call, {each.split(".")[0] for each in at_work}))
            return
        inside = [*at_work, f"{name}.{function}"] if name else at_work
        for each in call.get("calls", ()):
            self._walk(each, inside, trace)

    def _attempts(self, call: Any, at_work: set[str]) -> Iterator[tuple[bool, str, tuple[Any, ...] | None]]:
        for each in call.get("calls", ()):
            name = self.names[str(each["to"]).lower()]
            if "error" not in each:
                answer: tuple[Any, ...] | None = None
            else:
                output = str(each.get("output", "0x"))
                answer = decode_error(output) if len(output) > 2 else ()
            yield name in at_work, name, answer

    # ------------------------------------------------------------------------------------------------------ reports

    def leaves(self) -> list[Any]:
        """Return two leaves: the intruder earned, and small is to be slashed though its uptime was whole."""
        return [
            make_leaf(self.it, fees=40 * PAY, incentive=PAY),
            make_leaf(self.market.small, fees=40 * PAY, level=4, measured=True),
        ]

    def pages(self) -> list[Any]:
        """Return the pages of those whom small's slash compensates."""
        return harm_pages({self.it.address: 1, self.market.alice: 2})

    def report(self) -> Any:
        """Return a report in which every kind of money moves, the SLA fund's in both directions."""
        return self.market.next_report(
            self.leaves(),
            charges={self.it.address: 50 * PAY, self.market.alice: 50 * PAY},
            credits={(self.it.address, self.market.small): 2 * PAY},
            pools={self.market.small: PAY},
            payees={self.market.verifier_accounts[0]: PAY},
            harms={self.market.small: harm_root(self.pages())},
            from_fund=PAY,
            treasury=PAY,
        )


def instance_of(reached: str) -> str:
    """Return "Contract.function" for the name of an instance of it."""
    name, function = reached.split(".")
    return f"{INSTANCES.get(name, name)}.{function}"
