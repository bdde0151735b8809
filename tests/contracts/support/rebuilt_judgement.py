"""Slashes, rules, pauses, roles and token balances, rebuilt from events alone; and the whole market together."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.contracts.support.logs import Log, read
from tests.contracts.support.market import Market
from tests.contracts.support.rebuilt import Delegation, Mirror, Operators, Staking, Values, plain
from tests.contracts.support.rebuilt_money import Escrow, Ledger

DAY = 86_400
NOBODY = "0x" + 40 * "0"
PROVEN = 9
"""The code of a slash by two receipts: the breaker counts what it took, not what it asked."""
OPEN, CONTESTED, UPHELD, EXECUTED, CANCELLED = range(1, 6)
FIELDS = (
    *("provider", "epoch", "code", "stage", "queued", "proposedAt", "executableAt", "ruleBy", "proposer"),
    *("contestant", "bond", "amount", "taken", "harmed", "harmedPart", "harmedGiven", "pagesGiven"),
)


class Court(Mirror):
    """`SlashingCourt`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.slashes: dict[int, Values] = {}
        self.bonds = self.harmed = 0

    def SlashProposed(self, e: Values, time: int) -> None:
        self.slashes[e["id"]] = dict.fromkeys(FIELDS, 0) | {
            **{name: value for name, value in e.items() if name in FIELDS},
            **{"stage": OPEN, "proposedAt": time, "contestant": NOBODY},
        }
        self.bonds += e["bond"]

    def SlashCut(self, e: Values, time: int) -> None:
        assert e["amount"] == self.slashes[e["id"]]["amount"] < e["full"]

    def SlashContested(self, e: Values, time: int) -> None:
        self.slashes[e["id"]] |= {"stage": CONTESTED, "contestant": e["contestant"], "ruleBy": e["ruleBy"]}
        self.bonds += e["bond"]

    def SlashRuled(self, e: Values, time: int) -> None:
        if e["upheld"]:
            self.slashes[e["id"]]["stage"] = UPHELD

    def SlashReleased(self, e: Values, time: int) -> None:
        self.slashes[e["id"]]["queued"] = False

    def SlashCancelled(self, e: Values, time: int) -> None:
        self.slashes[e["id"]]["stage"] = CANCELLED

    def SlashExecuted(self, e: Values, time: int) -> None:
        assert e["taken"] == e["toHarmed"] + e["toProver"] + e["toSlaFund"] + e["burned"]
        self.slashes[e["id"]] |= {"stage": EXECUTED, "taken": e["taken"], "harmedPart": e["toHarmed"]}
        self.harmed += e["toHarmed"]

    def PageCompensated(self, e: Values, time: int) -> None:
        self._give(e["id"], e["given"])
        self.slashes[e["id"]]["pagesGiven"] += 1
        assert self.contract.pageGiven(e["id"], e["index"])

    def CompensationClosed(self, e: Values, time: int) -> None:
        self._give(e["id"], e["dust"])

    def _give(self, number: int, amount: int) -> None:
        self.slashes[number]["harmedGiven"] += amount
        self.harmed -= amount

    def BondSettled(self, e: Values, time: int) -> None:
        self.bonds -= e["toPoster"] + e["toWinner"] + e["burned"]

    def ReceiptsEquivocated(self, e: Values, time: int) -> None:
        """The slash has events of its own."""

    def DaysEquivocated(self, e: Values, time: int) -> None:
        """What the verifier lost has events of its own."""

    def VerifierSlashed(self, e: Values, time: int) -> None:
        """The bond is booked by `BondedOperators.Slashed`."""

    def VerifierSlashSplit(self, e: Values, time: int) -> None:
        """All of it left at once, by the tokens' events."""

    def AuthorityUpdated(self, e: Values, time: int) -> None:
        self.authority = e["authority"]

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c = self.contract
        recent = [s for s in self.slashes.values() if now // DAY - s["proposedAt"] // DAY < 7]
        facts = [
            ("authority", self.authority, c.authority()),
            ("slashCount", len(self.slashes), c.slashCount()),
            ("totalBonds", self.bonds, c.totalBonds()),
            ("totalHarmed", self.harmed, c.totalHarmed()),
            ("breaker", sum(s["taken" if s["code"] == PROVEN else "amount"] for s in recent), c.breaker()[0]),
        ]
        for number, s in self.slashes.items():
            facts.append((f"slash {number}", tuple(s.values()), c.slash(number)))
            if s["code"] <= 8:
                facts.append((f"slash of {s['provider']}", number, c.slashOf(s["provider"], s["epoch"])))
        return facts


class Clock(Mirror):
    """`EpochClock`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.genesis = 0
        self.rules: list[tuple[int, tuple[Any, ...]]] = []
        self.limits: tuple[Any, ...] = ()

    def Opened(self, e: Values, time: int) -> None:
        self.genesis = e["genesis"]

    def RulesSet(self, e: Values, time: int) -> None:
        self.rules.append((e["fromEpoch"], tuple(e["rules"].values())))

    def LimitsSet(self, e: Values, time: int) -> None:
        self.limits = tuple(e["limits"].values())

    def AuthorityUpdated(self, e: Values, time: int) -> None:
        self.authority = e["authority"]

    def epoch(self, time: int) -> int:
        """Return the epoch that contains a moment."""
        if self.genesis == 0 or time < self.genesis:
            return 0
        return int(time - self.genesis) // int(self.contract.epochSeconds())

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c, running = self.contract, self.epoch(now)

        def held(epoch: int) -> Any:
            return next(rules for first, rules in reversed(self.rules) if first <= epoch)

        facts = [("authority", self.authority, c.authority())]
        facts += [("genesis", self.genesis, c.genesis()), ("epoch", running, c.currentEpoch())]
        facts += [("limits", self.limits, c.limits()), ("rules", held(running), c.rules())]
        return facts + [(f"rules for {e}", held(e), c.rulesFor(e)) for e in range(running + 2)]


class Guardian(Mirror):
    """`Guardian`."""

    until = next_at = 0

    def Paused(self, e: Values, time: int) -> None:
        self.until, self.next_at = e["until"], time + 30 * DAY

    def Unpaused(self, e: Values, time: int) -> None:
        self.until = time

    def AuthorityUpdated(self, e: Values, time: int) -> None:
        self.authority = e["authority"]

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c = self.contract
        return [
            ("authority", self.authority, c.authority()),
            ("pausedUntil", self.until, c.pausedUntil()),
            ("nextPauseAt", self.next_at, c.nextPauseAt()),
            ("paused", now < self.until, c.paused()),
        ]


class Challenges(Mirror):
    """`ChallengeCourt`, which keeps nothing: what it did has events in ledger and court."""

    def ChallengeSustained(self, e: Values, time: int) -> None:
        if e["slashId"]:
            slash = self.mirrors["SlashingCourt"].slashes[e["slashId"]]
            assert (slash["provider"], slash["epoch"]) == (e["provider"], e["epoch"])

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        return []


class Token(Mirror):
    """A token: balances and supply."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.balances: dict[str, int] = defaultdict(int)
        self.allowances: dict[tuple[str, str], int] = {}

    def Transfer(self, e: Values, time: int) -> None:
        self.balances[e["from"]] -= e["value"]
        self.balances[e["to"]] += e["value"]

    def Approval(self, e: Values, time: int) -> None:
        """Allowances are nobody's money."""

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        supply = -self.balances[NOBODY]
        facts = [("totalSupply", supply, self.contract.totalSupply())]
        return facts + [
            (f"balance {who}", amount, self.contract.balanceOf(who))
            for who, amount in self.balances.items()
            if who != NOBODY
        ]


class Roles(Mirror):
    """The access manager, or the timelock: who holds which role."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.held: dict[tuple[Any, str], bool] = {}
        self.functions: dict[tuple[str, bytes], int] = {}

    def RoleGranted(self, e: Values, time: int) -> None:
        self.held[e["roleId"] if "roleId" in e else e["role"], e["account"]] = True

    def RoleRevoked(self, e: Values, time: int) -> None:
        self.held[e["roleId"] if "roleId" in e else e["role"], e["account"]] = False

    def TargetFunctionRoleUpdated(self, e: Values, time: int) -> None:
        self.functions[e["target"], e["selector"]] = e["roleId"]

    def RoleLabel(self, e: Values, time: int) -> None:
        """A name is no right."""

    MinDelayChange = RoleLabel

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        def holds(role: Any, who: str) -> bool:
            found = self.contract.hasRole(role, who)
            return bool(found if isinstance(found, bool) else found[0])

        facts = [(f"role {role!r} {who}", held, holds(role, who)) for (role, who), held in self.held.items()]
        return facts + [
            (f"function {selector.hex()}", role, self.contract.getTargetFunctionRole(target, selector))
            for (target, selector), role in self.functions.items()
        ]


KINDS = {
    "Authority": Roles,
    "Timelock": Roles,
    "Guardian": Guardian,
    "StakeToken": Token,
    "PaymentToken": Token,
    "EpochClock": Clock,
    "EpochLedger": Ledger,
    "ProviderStaking": Staking,
    "Delegation": Delegation,
    "JobEscrow": Escrow,
    "Verifiers": Operators,
    "Gateways": Operators,
    "SlashingCourt": Court,
    "ChallengeCourt": Challenges,
}


def rebuild(market: Market, logs: list[Log]) -> dict[str, Any]:
    """Return a mirror of every contract, made from events."""
    mirrors: dict[str, Any] = {}
    mirrors |= {name: kind(market, market.contracts[name], mirrors) for name, kind in KINDS.items()}
    for log in logs:
        mirrors[log.contract].apply(log)
    return mirrors


def differences(market: Market) -> tuple[dict[str, Any], int]:
    """Return what differs between the events and the contracts, and how many facts were compared."""
    mirrors, now = rebuild(market, read(market)), market.now()
    facts = {f"{name}: {what}": both for name, mirror in mirrors.items() for what, *both in mirror.facts(now)}
    return {what: both for what, both in facts.items() if plain(both[0]) != plain(both[1])}, len(facts)


def agree(market: Market) -> int:
    """Compare everything; returns how many facts agreed."""
    wrong, compared = differences(market)
    assert not wrong, wrong
    return compared
