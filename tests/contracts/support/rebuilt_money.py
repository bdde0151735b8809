"""Customers' balances and the ledger's books and reports, rebuilt from events alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from eth_abi import encode
from eth_utils import keccak

from tests.contracts.support.rebuilt import Mirror, Values

LEAF_BYTES = 64
BOOKS = ("pending", "refunds", "credits", "pools", "fees", "incentives", "owed", "incentiveFund")
TOTALS = (
    *("charged", "providerFees", "verifierFees", "treasury", "slaFundIn", "credits"),
    *("creditsFromFund", "incentive", "pools"),
)


@dataclass
class Customer:
    """A customer as its events tell of it."""

    balance: int = 0
    thawing: int = 0
    thawed_at: int = 0
    compensation: int = 0
    caps: list[tuple[int, int]] = field(default_factory=list)  # from epoch, cap; as they were set

    def cap(self, epoch: int) -> int:
        """Return what may be charged for an epoch: the newest setting that had begun by then."""
        return next((cap for first, cap in reversed(self.caps) if first <= epoch), 0)


class Escrow(Mirror):
    """`JobEscrow`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.customers: dict[str, Customer] = defaultdict(Customer)
        self.listed: list[str] = []
        self.sessions: dict[str, tuple[str, int, int]] = {}
        self.fund = self.stake_fund = 0

    def _add(self, e: Values) -> None:
        if e["customer"] not in self.listed:
            self.listed.append(e["customer"])
        c = self.customers[e["customer"]]
        c.balance += e["amount"]
        assert c.balance == e["balanceAfter"]

    def Deposited(self, e: Values, time: int) -> None:
        self._add(e)

    def Credited(self, e: Values, time: int) -> None:
        self._add(e)

    def ChargeReturned(self, e: Values, time: int) -> None:
        self._add(e)

    def Charged(self, e: Values, time: int) -> None:
        c = self.customers[e["customer"]]
        c.balance -= e["amount"]
        c.thawing = min(c.thawing, c.balance)
        assert c.balance == e["balanceAfter"]
        self.mirrors["EpochLedger"].charged(e["epoch"], e["amount"])

    def CapSet(self, e: Values, time: int) -> None:
        self.customers[e["customer"]].caps.append((e["fromEpoch"], e["cap"]))

    def SessionSet(self, e: Values, time: int) -> None:
        self.sessions[e["key"]] = (e["customer"], e["expiresAt"], e["mostCap"])

    def WithdrawalRequested(self, e: Values, time: int) -> None:
        c = self.customers[e["customer"]]
        c.thawing, c.thawed_at = c.thawing + e["amount"], e["thawedAt"]
        assert c.thawing == e["thawingAfter"]

    def WithdrawalCancelled(self, e: Values, time: int) -> None:
        c = self.customers[e["customer"]]
        assert c.thawing == e["amount"]
        c.thawing = 0

    def Withdrawn(self, e: Values, time: int) -> None:
        c = self.customers[e["customer"]]
        c.balance, c.thawing = c.balance - e["amount"], 0
        assert c.balance == e["balanceAfter"]

    def Compensated(self, e: Values, time: int) -> None:
        c = self.customers[e["customer"]]
        c.compensation += e["amount"]
        assert c.compensation == e["compensationAfter"]

    def CompensationWithdrawn(self, e: Values, time: int) -> None:
        c = self.customers[e["customer"]]
        assert c.compensation == e["amount"]
        c.compensation = 0

    def SlaFundChanged(self, e: Values, time: int) -> None:
        self.fund += e["delta"]
        assert self.fund == e["fundAfter"]

    def StakeSlaFundChanged(self, e: Values, time: int) -> None:
        self.stake_fund += e["delta"]
        assert self.stake_fund == e["fundAfter"]

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c, running = self.contract, self.mirrors["EpochClock"].epoch(now)
        facts = [
            ("totalBalances", sum(x.balance for x in self.customers.values()), c.totalBalances()),
            ("totalCompensation", sum(x.compensation for x in self.customers.values()), c.totalCompensation()),
            ("slaFund", self.fund, c.slaFund()),
            ("stakeSlaFund", self.stake_fund, c.stakeSlaFund()),
            ("customers", self.listed, c.customers(0, 1000)[0]),
        ]
        for who, x in self.customers.items():
            view = c.customer(who)
            rebuilt = (x.balance, x.thawing, x.thawed_at if x.thawing else 0, x.cap(running), x.compensation)
            found = tuple(view[name] for name in ("balance", "thawing", "thawedAt", "cap", "compensation"))
            facts.append((f"customer {who}", rebuilt, found))
            facts += [(f"cap {who} {e}", x.cap(e), c.capFor(who, e)) for e in range(running + 4)]
        for key, (who, expires, most) in self.sessions.items():
            rebuilt = (who, expires, most) if now < expires else ("0x" + 40 * "0", 0, 0)
            facts.append((f"session {key}", rebuilt, c.sessionOf(key)))
        return facts


@dataclass
class Submitted:
    """A report as its events tell of it."""

    signed: Values
    submitted_at: int
    struct_hash: bytes = b""
    signers: bytes = b""
    leaves: bytes = b""
    completed: bool = False
    activates_at: int = 0
    charged: int = 0
    chunks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("leaf", "credit", "pool"), 0))

    def sums(self) -> tuple[int, int]:
        """Return the sums of cumulative fees and incentives over all leaves."""
        pairs = [self.leaves[i : i + LEAF_BYTES] for i in range(0, len(self.leaves), LEAF_BYTES)]
        return (
            sum(int.from_bytes(leaf[20:32], "big") for leaf in pairs),
            sum(int.from_bytes(leaf[32:44], "big") for leaf in pairs),
        )


class Ledger(Mirror):
    """`EpochLedger`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.books = dict.fromkeys(BOOKS, 0)
        self.reports: list[Submitted] = []
        self.activated = 0
        self.owed: dict[str, int] = defaultdict(int)
        self.claims: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.harms: list[tuple[int, str, bytes]] = []

    def charged(self, epoch: int, amount: int) -> None:
        """Book a charge, which the escrow announces."""
        self.reports[epoch].charged += amount
        self.books["pending"] += amount

    def IncentivesFunded(self, e: Values, time: int) -> None:
        self.books["incentiveFund"] += e["amount"]
        assert self.books["incentiveFund"] == e["fundAfter"]

    def ReportSubmitted(self, e: Values, time: int) -> None:
        assert e["epoch"] == len(self.reports)
        self.reports.append(Submitted(e, time))
        self._reserve(e, 1)

    def _reserve(self, signed: Values, sign: int) -> None:
        amount = sign * (signed["totals"]["incentive"] + signed["totals"]["pools"])
        self.books["pending"] += amount
        self.books["incentiveFund"] -= amount

    def ReportSigned(self, e: Values, time: int) -> None:
        report = self.reports[e["epoch"]]
        report.struct_hash = e["structHash"]
        report.signers = keccak(encode(["address[]"], [e["signers"]]))
        before = self.reports[e["epoch"] - 1].struct_hash if e["epoch"] else bytes(32)
        assert e["previous"] == before

    def LeavesPublished(self, e: Values, time: int) -> None:
        report = self.reports[e["epoch"]]
        assert e["chunk"] == report.chunks["leaf"]
        report.chunks["leaf"] += 1
        report.leaves += e["packed"]

    def ReportCompleted(self, e: Values, time: int) -> None:
        report = self.reports[e["epoch"]]
        report.completed, report.activates_at = True, e["activatesAt"]

    def ReportActivated(self, e: Values, time: int) -> None:
        assert e["epoch"] == self.activated
        self.activated += 1
        totals = self.reports[e["epoch"]].signed["totals"]
        self.books["pending"] -= totals["charged"] + totals["incentive"] + totals["pools"]
        for book, total in (("fees", "providerFees"), ("incentives", "incentive"), ("pools", "pools")):
            self.books[book] += totals[total]
        self.books["credits"] += totals["credits"]
        self.books["owed"] += totals["verifierFees"] + totals["treasury"]
        for payee in e["payees"]:
            self.owed[payee["verifier"]] += payee["amount"]
        self.owed[self.contract.treasury().lower()] += totals["treasury"]

    def CreditsPushed(self, e: Values, time: int) -> None:
        self.reports[e["epoch"]].chunks["credit"] += 1
        self.books["credits"] -= e["amount"]

    def PoolsPushed(self, e: Values, time: int) -> None:
        self.reports[e["epoch"]].chunks["pool"] += 1
        self.books["pools"] -= sum(pool["amount"] for pool in e["pools"])

    def ReportCancelled(self, e: Values, time: int) -> None:
        report = self.reports.pop()
        assert report.signed["epoch"] == e["epoch"] and report.charged == e["toRefund"]
        self._reserve(report.signed, -1)
        self.books["pending"] -= e["toRefund"]
        self.books["refunds"] += e["toRefund"]

    def Refunded(self, e: Values, time: int) -> None:
        self.books["refunds"] -= e["amount"]

    def Claimed(self, e: Values, time: int) -> None:
        self.books["fees"] -= e["fees"]
        self.books["incentives"] -= e["incentive"]
        claims = self.claims[e["provider"]]
        claims[:] = [claims[0] + e["fees"], claims[1] + e["incentive"], max(claims[2], e["epoch"] + 1)]

    def OwedClaimed(self, e: Values, time: int) -> None:
        assert self.owed[e["payee"]] == e["amount"]
        self.owed[e["payee"]] = 0
        self.books["owed"] -= e["amount"]

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c = self.contract
        facts = [
            ("books", tuple(self.books.values()), tuple(c.books())),
            ("nextEpoch", len(self.reports), c.nextEpoch()),
            ("nextActivation", self.activated, c.nextActivation()),
            ("no report", (0, 0), (c.record(len(self.reports))["submittedAt"], c.progress(len(self.reports))[0])),
        ]
        for epoch, report in enumerate(self.reports):
            facts += self._report_facts(epoch, report)
        facts += [(f"owed {who}", amount, c.owed(who)) for who, amount in self.owed.items()]
        for who, claims in self.claims.items():
            found = (c.claimedFees(who), c.claimedIncentive(who), c.claimedThrough(who))
            facts.append((f"claims {who}", tuple(claims), found))
        return facts

    def _report_facts(self, epoch: int, report: Submitted) -> list[tuple[str, Any, Any]]:
        signed, c = report.signed, self.contract
        names = ("root", "measurements", "movements", "leafCount")
        record, progress = c.record(epoch), c.progress(epoch)
        facts: list[tuple[str, Any, Any]] = [(f"{name} of {epoch}", signed[name], record[name]) for name in names]
        facts += [
            (f"digest of {epoch}", signed["digest"], record["digest"]),
            (f"struct hash of {epoch}", report.struct_hash, record["structHash"]),
            (f"signers of {epoch}", report.signers, record["signers"]),
            (f"totals of {epoch}", [signed["totals"][name] for name in TOTALS], record["totals"]),
            (f"submission of {epoch}", report.submitted_at, record["submittedAt"]),
            (
                f"activation of {epoch}",
                (report.activates_at, epoch < self.activated),
                (record["activatesAt"], record["activated"]),
            ),
            (f"leaf chunks of {epoch}", report.chunks["leaf"], progress[0]),
            (f"pushes of {epoch}", (report.chunks["credit"], report.chunks["pool"]), tuple(progress[2:])),
        ]
        if report.completed:
            facts.append((f"sums of {epoch}", report.sums(), (record["sumFees"], record["sumIncentive"])))
        roots = {harm["provider"]: harm["root"] for harm in signed["harms"]}
        return facts + [(f"harm {who} {epoch}", root, c.harmedRoot(epoch, who)) for who, root in roots.items()]
