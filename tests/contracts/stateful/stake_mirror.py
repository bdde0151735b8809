"""What providers and delegators have, kept in plain numbers beside the contracts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

UNBONDING_S, STEP_S = 120, 15
MOST_EXITS = 10
SCALE = 10**36


@dataclass
class Pool:
    """Tokens in shares; entering and leaving round down."""

    tokens: int = 0
    shares: int = 0

    def worth(self, shares: int) -> int:
        return shares * self.tokens // self.shares if self.shares else 0

    def enter(self, amount: int) -> int:
        shares = amount * self.shares // self.tokens if self.shares else amount
        self.tokens, self.shares = self.tokens + amount, self.shares + shares
        return shares

    def leave(self, shares: int) -> int:
        amount = self.worth(shares)
        self.tokens, self.shares = self.tokens - amount, self.shares - shares
        return amount


@dataclass
class Exit:
    """Shares of a provider's unbonding pool."""

    id: int
    shares: int
    release: int


@dataclass
class Batch:
    """Exits of delegators that are released together."""

    release: int
    pool: Pool = field(default_factory=Pool)


@dataclass
class Position:
    """What one delegator has behind one provider; `earned` is in payment units times SCALE per share."""

    shares: int = 0
    since: int = 0
    rewards: int = 0
    exits: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Provider:
    """One provider with all that is behind it."""

    stake: int
    jailed: bool = False
    pool: Pool = field(default_factory=Pool)
    exits: list[Exit] = field(default_factory=list)
    next_id: int = 0
    matured: int = 0
    slashed: int = 0
    bonded: Pool = field(default_factory=Pool)
    batches: list[Batch] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    delegations_matured: int = 0
    earned: int = 0
    positions: dict[Any, Position] = field(default_factory=dict)

    # ---------------------------------------------------------------------------------------------------- own stake

    def mature(self, now: int) -> None:
        """Take matured exits out of the pool."""
        while self.exits and self.exits[0].release <= now:
            self.matured += self.pool.leave(self.exits.pop(0).shares)

    def unbond(self, amount: int, now: int) -> None:
        """Move stake into the pool."""
        self.mature(now)
        self.stake -= amount
        self.exits.append(Exit(self.next_id, self.pool.enter(amount), now + UNBONDING_S))
        self.next_id += 1

    def rebond(self, amount: int) -> None:
        """Move stake back, newest exits first; a part costs shares rounded up."""
        self.stake += amount
        while amount:
            newest = self.exits[-1]
            worth = self.pool.worth(newest.shares)
            if worth > amount:
                burnt = -(-amount * self.pool.shares // self.pool.tokens)
                newest.shares -= burnt
                self.pool = Pool(self.pool.tokens - amount, self.pool.shares - burnt)
                return
            self.pool.leave(newest.shares)
            self.exits.pop()
            amount -= worth

    def slash(self, amount: int, now: int) -> int:
        """Take stake, then unbonding, then what is bonded behind, then what leaves behind."""
        self.mature(now)
        self.mature_batches(now)
        from_stake = min(amount, self.stake)
        from_pool = min(amount - from_stake, self.pool.tokens)
        self.stake -= from_stake
        self.pool.tokens -= from_pool
        if not self.pool.tokens:
            self.pool, self.exits = Pool(), []
        own = from_stake + from_pool
        self.slashed += own
        from_bonded = min(amount - own, self.bonded.tokens)
        from_batches = min(amount - own - from_bonded, self.unbonding_behind())
        self._cut_bonded(from_bonded)
        self._cut_batches(from_batches)
        return own + from_bonded + from_batches

    # --------------------------------------------------------------------------------------------------- delegators

    def position(self, who: Any) -> Position:
        """Return somebody's position; its rewards are as of when it was last settled."""
        return self.positions.setdefault(who, Position(since=self.earned))

    def due(self, who: Any) -> int:
        """Return somebody's rewards up to now, rounded down once since they were settled."""
        position = self.position(who)
        return position.rewards + position.shares * (self.earned - position.since) // SCALE

    def settled(self, who: Any) -> Position:
        """Return somebody's position with its rewards booked."""
        position = self.position(who)
        position.rewards, position.since = self.due(who), self.earned
        return position

    def unbonding_behind(self) -> int:
        """Return the tokens of open batches."""
        return sum(self.batches[i].pool.tokens for i in self.open)

    def mature_batches(self, now: int) -> None:
        """Take matured batches off the list."""
        while self.open and self.batches[self.open[0]].release <= now:
            self.delegations_matured += self.batches[self.open.pop(0)].pool.tokens

    def undelegate(self, who: Any, shares: int, now: int) -> None:
        """Move shares of a position into the batch of this moment."""
        self.mature_batches(now)
        position = self.settled(who)
        position.shares -= shares
        amount = self.bonded.leave(shares)
        release = -(-(now + UNBONDING_S) // STEP_S) * STEP_S
        if not self.open or self.batches[self.open[-1]].release != release:
            self.open.append(len(self.batches))
            self.batches.append(Batch(release))
        batch = self.open[-1]
        entered = self.batches[batch].pool.enter(amount)
        if position.exits and position.exits[-1][0] == batch:
            entered += position.exits.pop()[1]
        position.exits.append((batch, entered))

    def gone(self, who: Any, now: int) -> list[tuple[int, int]]:
        """Return the exits of a position that `withdraw` takes off its list: matured ones and void ones."""
        exits = self.positions[who].exits if who in self.positions else []
        return [one for one in exits if self.batches[one[0]].release <= now or not self.batches[one[0]].pool.tokens]

    def withdraw_behind(self, who: Any, now: int) -> int:
        """Pay a delegator."""
        self.mature_batches(now)
        gone = self.gone(who, now)
        paid = sum(self.batches[batch].pool.leave(shares) for batch, shares in gone)
        self.positions[who].exits = [one for one in self.positions[who].exits if one not in gone]
        self.delegations_matured -= paid
        return paid

    def _cut_bonded(self, amount: int) -> None:
        if not amount:
            return
        self.bonded.tokens -= amount
        if self.bonded.tokens:
            return
        self.bonded = Pool()
        for who in self.positions:
            self.settled(who).shares = 0

    def _cut_batches(self, amount: int) -> None:
        behind, kept = self.unbonding_behind(), []
        if not amount:
            return
        for i in self.open:
            pool = self.batches[i].pool
            part = pool.tokens * amount // behind
            behind, amount = behind - pool.tokens, amount - part
            pool.tokens -= part
            if pool.tokens:
                kept.append(i)
        self.open = kept
