"""The state of every contract, rebuilt from its events and from nothing else.

Each mirror has one method per event; an event without a method fails. `differences(market)` compares what was rebuilt
with what the contracts answer. Stakes, delegation and operators are here; `rebuilt_money` has customers and reports,
`rebuilt_judgement` slashes, rules and roles.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.contracts.support.logs import Log

SCALE = 10**36
Values = dict[str, Any]


class Mirror:
    """What one contract's events say; `now` is the time of the last event of any contract."""

    def __init__(self, market: Any, contract: Any, mirrors: dict[str, Any]) -> None:
        self.market, self.contract, self.mirrors = market, contract, mirrors

    def apply(self, log: Log) -> None:
        """Take in one event; fails when it is not known."""
        getattr(self, log.event)(log.values, log.time)

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        """Return (what, rebuilt, as the contract answers) at a time."""
        raise NotImplementedError


def plain(value: Any) -> Any:
    """Return a value in the one form in which it can be compared."""
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, (tuple, list)):
        return tuple(plain(each) for each in value)
    return value


# ------------------------------------------------------------------------------------------------------------- staking


@dataclass
class Staker:
    """A provider as its events tell of it."""

    signer: str
    hardware_class: int
    units: int
    offer: bytes
    region: str
    endpoint: str
    registered_at: int
    status: int = 1
    measure_from: int = 0
    stake: int = 0
    tokens: int = 0
    shares: int = 0
    exits: list[list[int]] = field(default_factory=list)  # id, shares, release
    matured: int = 0
    slashed: int = 0
    windows: list[tuple[int, int]] = field(default_factory=list)

    def open(self, now: int) -> tuple[list[tuple[int, int, int, bool]], int, int]:
        """Return the unbonds as the contract describes them, what still unbonds and what is ripe."""
        tokens, shares, ripe, described = self.tokens, self.shares, 0, []
        for number, part, release in self.exits:
            amount = part * tokens // shares if shares else 0
            described.append((number, amount, release, release <= now))
            if release <= now:
                tokens, shares, ripe = tokens - amount, shares - part, ripe + amount
        return described, tokens, ripe


class Staking(Mirror):
    """`ProviderStaking`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.stakers: dict[str, Staker] = {}
        self.listed: list[str] = []
        self.signers: dict[str, str] = {}

    def ProviderRegistered(self, e: Values, time: int) -> None:
        self.stakers[e["provider"]] = Staker(
            e["signer"], e["hardwareClass"], e["units"], e["offerDigest"], e["region"], e["endpoint"], time
        )
        self.signers[e["signer"]] = e["provider"]

    def ProviderUpdated(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        p.signer, p.offer, p.region, p.endpoint = e["signer"], e["offerDigest"], e["region"], e["endpoint"]
        self.signers[e["signer"]] = e["provider"]

    def ProviderListed(self, e: Values, time: int) -> None:
        assert e["index"] == len(self.listed)
        self.listed.append(e["provider"])

    def Staked(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        p.stake += e["amount"]
        assert p.stake == e["stakeAfter"]

    def Unbonded(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        p.stake, p.tokens, p.shares = p.stake - e["amount"], p.tokens + e["amount"], p.shares + e["shares"]
        p.exits.append([e["id"], e["shares"], e["releaseAt"]])
        assert p.stake == e["stakeAfter"]

    def UnbondMatured(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        gone = p.exits.pop(0)
        assert gone[0] == e["id"]
        p.tokens, p.shares, p.matured = p.tokens - e["amount"], p.shares - gone[1], p.matured + e["amount"]

    def UnbondVoided(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        gone = p.exits.pop(0)
        assert gone[0] == e["id"] and p.tokens == 0
        p.shares -= gone[1]

    def Rebonded(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        last = p.exits[-1]
        assert last[0] == e["id"]
        last[1] -= e["shares"]
        if last[1] == 0:
            p.exits.pop()
        p.stake, p.tokens, p.shares = p.stake + e["amount"], p.tokens - e["amount"], p.shares - e["shares"]
        assert p.stake == e["stakeAfter"]

    def Withdrawn(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        p.matured -= e["amount"]
        assert p.matured == 0

    def MaintenanceDeclared(self, e: Values, time: int) -> None:
        windows = self.stakers[e["provider"]].windows
        assert e["index"] == len(windows)
        windows.append((e["startsAt"], e["endsAt"]))

    def MaintenanceCancelled(self, e: Values, time: int) -> None:
        windows = self.stakers[e["provider"]].windows
        windows.pop()
        assert e["index"] == len(windows)

    def HardwareMeasured(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        p.hardware_class, p.units = e["hardwareClass"], e["units"]

    def Slashed(self, e: Values, time: int) -> None:
        p = self.stakers[e["provider"]]
        p.stake, p.tokens = p.stake - e["fromStake"], p.tokens - e["fromUnbonding"]
        p.slashed += e["fromStake"] + e["fromUnbonding"]
        assert p.stake == e["stakeAfter"]

    def DelegationSlashed(self, e: Values, time: int) -> None:
        """What delegators lost is booked by `Delegation.Slashed`."""

    def Jailed(self, e: Values, time: int) -> None:
        self.stakers[e["provider"]].status = 2
        self.stakers[e["provider"]].measure_from = e["measureFrom"] or self.stakers[e["provider"]].measure_from

    def Unjailed(self, e: Values, time: int) -> None:
        self.stakers[e["provider"]].status = 1

    def Removed(self, e: Values, time: int) -> None:
        self.stakers[e["provider"]].status = 3

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c, stakers = self.contract, self.stakers.values()
        facts = [
            ("totalStake", sum(p.stake for p in stakers), c.totalStake()),
            ("totalUnbonding", sum(p.tokens for p in stakers), c.totalUnbonding()),
            ("totalMatured", sum(p.matured for p in stakers), c.totalMatured()),
            ("listed", self.listed, c.providers(0, 1000)[0]),
        ]
        weights = [0, 1, 2, 2, 5, 10]
        for who, p in self.stakers.items():
            described, unbonding, ripe = p.open(now)
            weight = 1 + weights[p.hardware_class] * p.units
            view = (p.signer, p.hardware_class, p.units, weight, p.status, p.registered_at, p.offer, p.region)
            money = (p.endpoint, p.stake, weight * c.baseStake(), unbonding, p.slashed)
            facts += [
                (f"provider {who}", view + money, tuple(c.provider(who))),
                (f"unbonds {who}", described, c.unbonds(who)),
                (f"withdrawable {who}", p.matured + ripe, c.withdrawable(who)),
                (f"measureFrom {who}", p.measure_from, c.measureFrom(who)),
                (f"maintenance {who}", p.windows, c.maintenance(who, 0, 2**62)),
            ]
        return facts + [(f"signer {s}", who, c.providerOfSigner(s)) for s, who in self.signers.items()]


# ---------------------------------------------------------------------------------------------------------- delegation


@dataclass
class Batch:
    """Exits of one time."""

    release: int
    tokens: int = 0
    shares: int = 0


@dataclass
class Backing:
    """What is behind one provider."""

    tokens: int = 0
    shares: int = 0
    earned: int = 0
    batches: dict[int, Batch] = field(default_factory=dict)
    open: list[int] = field(default_factory=list)
    commissions: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Position:
    """What one delegator has behind one provider."""

    shares: int = 0
    earned: int = 0
    rewards: int = 0
    exits: list[list[int]] = field(default_factory=list)  # batch, shares

    def settle(self, backing: Backing) -> Position:
        """Book what was earned up to now."""
        self.rewards += self.shares * (backing.earned - self.earned) // SCALE
        self.earned = backing.earned
        return self


class Delegation(Mirror):
    """`Delegation`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.backings: dict[str, Backing] = defaultdict(Backing)
        self.positions: dict[tuple[str, str], Position] = defaultdict(Position)
        self.rewards = self.matured = 0

    def _position(self, e: Values) -> Position:
        return self.positions[e["provider"], e["delegator"]].settle(self.backings[e["provider"]])

    def Delegated(self, e: Values, time: int) -> None:
        b, position = self.backings[e["provider"]], self._position(e)
        position.shares += e["shares"]
        b.tokens, b.shares = b.tokens + e["amount"], b.shares + e["shares"]

    def Undelegated(self, e: Values, time: int) -> None:
        b, position, number = self.backings[e["provider"]], self._position(e), e["batch"]
        position.shares -= e["shares"]
        b.tokens, b.shares = b.tokens - e["amount"], b.shares - e["shares"]
        if number not in b.batches:
            b.batches[number] = Batch(e["releaseAt"])
            b.open.append(number)
        batch = b.batches[number]
        assert batch.release == e["releaseAt"]
        batch.tokens, batch.shares = batch.tokens + e["amount"], batch.shares + e["batchShares"]
        if position.exits and position.exits[-1][0] == number:
            position.exits[-1][1] += e["batchShares"]
        else:
            position.exits.append([number, e["batchShares"]])

    def BatchMatured(self, e: Values, time: int) -> None:
        b = self.backings[e["provider"]]
        b.open.remove(e["batch"])
        assert b.batches[e["batch"]].tokens == e["amount"]
        self.matured += e["amount"]

    def Withdrawn(self, e: Values, time: int) -> None:
        b, position = self.backings[e["provider"]], self.positions[e["provider"], e["delegator"]]
        kept, paid = [], 0
        for number, shares in position.exits:
            batch = b.batches[number]
            if batch.release > time and batch.tokens:
                kept.append([number, shares])
                continue
            amount = shares * batch.tokens // batch.shares
            batch.tokens, batch.shares, paid = batch.tokens - amount, batch.shares - shares, paid + amount
        assert paid == e["amount"]
        position.exits = kept
        self.matured -= paid

    def Slashed(self, e: Values, time: int) -> None:
        b = self.backings[e["provider"]]
        b.tokens -= e["fromDelegated"]
        amount, behind = e["fromUnbonding"], sum(b.batches[number].tokens for number in b.open)
        for number in b.open if amount else ():
            batch = b.batches[number]
            part = batch.tokens * amount // behind
            behind, amount, batch.tokens = behind - batch.tokens, amount - part, batch.tokens - part

    def PoolVoided(self, e: Values, time: int) -> None:
        b = self.backings[e["provider"]]
        if e["unbonding"]:
            assert not b.open
            return
        assert b.tokens == 0
        b.shares = 0
        for (provider, _), position in self.positions.items():
            if provider == e["provider"]:
                position.settle(b).shares = 0

    def CommissionSet(self, e: Values, time: int) -> None:
        running = self.mirrors["EpochClock"].epoch(time)
        waiting = [entry for entry in self.backings[e["provider"]].commissions if entry[0] <= running]
        self.backings[e["provider"]].commissions = [*waiting, (e["fromEpoch"], e["ppm"])]

    def Rewarded(self, e: Values, time: int) -> None:
        b = self.backings[e["provider"]]
        assert b.shares == e["shares"]
        if b.shares:
            b.earned += e["amount"] * SCALE // b.shares
        else:
            self.positions[e["provider"], e["provider"]].rewards += e["amount"]
        self.rewards += e["amount"]

    def RewardsClaimed(self, e: Values, time: int) -> None:
        position = self._position(e)
        assert position.rewards == e["amount"]
        position.rewards = 0
        self.rewards -= e["amount"]

    def commission(self, provider: str, epoch: int) -> int:
        """Return the commission for an epoch: the newest that had begun."""
        return next((ppm for first, ppm in reversed(self.backings[provider].commissions) if first <= epoch), 0)

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c, running = self.contract, self.mirrors["EpochClock"].epoch(now)
        opened = [b.batches[number] for b in self.backings.values() for number in b.open]
        facts = [
            ("totalDelegated", sum(b.tokens for b in self.backings.values()), c.totalDelegated()),
            ("totalUnbonding", sum(batch.tokens for batch in opened), c.totalUnbonding()),
            ("totalMatured", self.matured, c.totalMatured()),
            ("totalRewards", self.rewards, c.totalRewards()),
        ]
        for who, b in self.backings.items():
            batches = [b.batches[number] for number in b.open]
            unbonding = sum(batch.tokens for batch in batches if batch.release > now)
            ahead = [entry for entry in b.commissions if entry[0] > running]
            ppm = self.commission(who, running)
            first, following = ahead[-1] if ahead else (0, ppm)
            facts.append((f"pool {who}", (b.tokens, b.shares, unbonding, ppm, following, first), c.pool(who)))
            facts += [(f"commission {e}", self.commission(who, e), c.commissionFor(who, e)) for e in range(running + 3)]
        for (who, delegator), position in self.positions.items():
            b, unbonding, ripe, release = self.backings[who], 0, 0, 0
            for number, shares in position.exits:
                batch = b.batches[number]
                worth = shares * batch.tokens // batch.shares if batch.shares else 0
                if batch.release <= now:
                    ripe += worth
                else:
                    unbonding, release = unbonding + worth, release or (batch.release if worth else 0)
            amount = position.shares * b.tokens // b.shares if b.shares else 0
            rewards = position.rewards + position.shares * (b.earned - position.earned) // SCALE
            rebuilt = (position.shares, amount, unbonding, ripe, release, rewards)
            facts.append((f"position {who} {delegator}", rebuilt, c.position(who, delegator)))
        return facts


# ----------------------------------------------------------------------------------------------------------- operators


class Operators(Mirror):
    """`BondedOperators`, verifiers or gateways."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.members: dict[str, list[Any]] = {}  # endpoint, bond, joined, active, release
        self.seeds: dict[tuple[str, int], bytes] = {}
        self.days: dict[tuple[str, int], bytes] = {}

    def Joined(self, e: Values, time: int) -> None:
        self.members[e["operator"]] = [e["endpoint"], e["bond"], time, True, 0]

    def EndpointSet(self, e: Values, time: int) -> None:
        self.members[e["operator"]][0] = e["endpoint"]

    def Left(self, e: Values, time: int) -> None:
        self.members[e["operator"]][3:] = [False, e["releaseAt"]]

    def Withdrawn(self, e: Values, time: int) -> None:
        assert self.members[e["operator"]][1] == e["amount"]
        self.members[e["operator"]] = ["", 0, 0, False, 0]

    def Slashed(self, e: Values, time: int) -> None:
        member = self.members[e["operator"]]
        member[1] -= e["amount"]
        assert member[1] == e["bondAfter"]
        member[3:] = [False, e["releaseAt"]]
        if member[1] == 0:
            self.members[e["operator"]] = ["", 0, 0, False, 0]

    def SeedCommitted(self, e: Values, time: int) -> None:
        self.seeds[e["operator"], e["epoch"]] = e["commitment"]

    def DaysCommitted(self, e: Values, time: int) -> None:
        self.days[e["operator"], e["epoch"]] = e["commitment"]

    def facts(self, now: int) -> list[tuple[str, Any, Any]]:
        c = self.contract
        active = sorted(who for who, member in self.members.items() if member[3])
        return [
            ("totalBonds", sum(member[1] for member in self.members.values()), c.totalBonds()),
            ("members", active, sorted(address.lower() for address in c.members())),
            *((f"member {who}", member, c.member(who)) for who, member in self.members.items()),
            *((f"seed {key}", value, c.seedCommitment(*key)) for key, value in self.seeds.items()),
            *((f"days {key}", value, c.daysCommitment(*key)) for key, value in self.days.items()),
        ]
