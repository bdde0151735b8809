"""Read from the chain, at one checkpoint, who may be matched and what the chain says of them."""

from __future__ import annotations

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.errors import ContractsError
from contracts.guardian import Guardian
from contracts.history import read_report
from contracts.staking import Staking
from contracts.tokens import Token
from contracts.types import Checkpoint
from marketplace.gateway.reading import Reading


class ChainSource:
    """Readings of a deployment; scores are fetched again only when another report was submitted."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._staking = Staking(chain)
        self._epochs = Epochs(chain)
        self._guardian = Guardian(chain)
        self._decimals: tuple[int, int] | None = None
        self._scored = -1
        self._scores: dict[str, int] = {}
        self._standings: dict[str, int] = {}

    async def read(self) -> Reading:
        """Read once, everything at one checkpoint."""
        at = await self._chain.checkpoint()
        if self._decimals is None:
            self._decimals = (
                await Token(self._chain, "PaymentToken").decimals(at),
                await Token(self._chain, "StakeToken").decimals(at),
            )
        providers = await self._staking.providers(at)
        progress = await self._epochs.progress(at)
        rules = await self._epochs.clock.rules(progress.current_epoch, at)
        guardian = await self._guardian.state(at)
        await self._read_scores(progress.next_epoch - 1, at)
        return Reading(
            at,
            providers,
            dict(self._scores),
            rules.stake_rate,
            *self._decimals,
            standings=dict(self._standings),
            paused_until=guardian.paused_until if guardian.paused else 0,
        )

    async def _read_scores(self, epoch: int, at: Checkpoint) -> None:
        """Take scores and standings of the last report; without it the scheduler goes on with those before.

        After a cancelled report the last one is an older one.
        """
        if epoch == self._scored:
            return
        try:
            published = await read_report(self._chain, epoch, at)
        except ContractsError:
            return
        if "leaves" in published.missing:
            return
        self._scores = {leaf.provider: leaf.score_ppm for leaf in published.report.leaves}
        self._standings = {leaf.provider: leaf.standing for leaf in published.report.leaves}
        self._scored = epoch
