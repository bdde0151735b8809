"""Take the slashes that a report calls for through the court: propose with a bond, execute, compensate page by page.

Anybody may do any of it, so each step looks at what the chain says first and does what is missing. A slash that is
contested waits for the arbitrator, one that is queued for the timelock; where either keeps silent for too long it is
lapsed, because silence must not hold up an epoch for ever.
"""

from __future__ import annotations

import structlog

from contracts.chain import Chain
from contracts.court import Court
from contracts.errors import ContractRefused
from contracts.leaves import harm_pages, leaf_hashes, page_proof, proof
from contracts.staking import Staking
from contracts.tokens import Token
from contracts.types import Checkpoint, Harmed, Leaf, SlashStage
from contracts.views import SlashView
from marketplace.deeds import Deeds
from marketplace.settled import Settled
from marketplace.waiting import NotYet

log = structlog.get_logger("settlement")

_LEAST_LEVEL = 2
_PPM = 1_000_000


class Slashes:
    """The court as settlement uses it. The proposer's bonds are of the key that sends."""

    def __init__(self, chain: Chain, deeds: Deeds) -> None:
        self._chain = chain
        self._deeds = deeds
        self._court = Court(chain)

    async def propose(self, epoch: int, settled: Settled) -> dict[str, int]:
        """Propose every slash a report calls for; returns their ids by provider. Raises NotYet until all are final.

        Only then is a slash's number certain.
        """
        report, domain = settled.report, self._chain.deployment.domain()
        hashes = leaf_hashes(domain.chain_id, domain.epoch_ledger, report)
        slashes: dict[str, int] = {}
        for index, leaf in enumerate(report.leaves):
            if leaf.slash_level < _LEAST_LEVEL:
                continue
            head = await self._chain.head()
            known = bool(await self._court.slash_of(leaf.provider, epoch, head))
            if not known and not await self._open(epoch, leaf, proof(hashes, index), head):
                continue
            slashes[leaf.provider] = await self._court.slash_of(leaf.provider, epoch, await self._chain.checkpoint())
        waiting = [provider for provider, number in slashes.items() if not number]
        if waiting:
            raise NotYet(f"the slashes of {', '.join(waiting)} are proposed and not final yet")
        return slashes

    async def carry_out(self, epoch: int, slashes: dict[str, int], settled: Settled) -> None:
        """Bring every slash to its end, pages of the harmed included; raises NotYet while one has to wait."""
        waits = []
        for provider, slash_id in slashes.items():
            try:
                await self._advance(slash_id, epoch, settled.harmed_by(provider))
            except NotYet as waiting:
                waits.append(str(waiting))
        if waits:
            raise NotYet("; ".join(waits))
        final = await self._chain.checkpoint()
        for provider, slash_id in slashes.items():
            slash = await self._court.slash(slash_id, final)
            if slash is None or not _ended(slash, settled.harmed_by(provider)):
                raise NotYet(f"the end of slash {slash_id} is not final yet")

    # ------------------------------------------------------------------------------------------------------ steps

    async def _open(self, epoch: int, leaf: Leaf, siblings: tuple[bytes, ...], head: Checkpoint) -> bool:
        """Post the bond and propose; returns False for a slash that can no longer be opened."""
        court, token = self._court, Token(self._chain, "StakeToken")
        provider = await Staking(self._chain).provider(leaf.provider, head)
        required = provider.required_stake if provider is not None else 0
        bond = await court.bond_for(required * await court.code_ppm(leaf.slash_level, head) // _PPM, head)
        held = await token.balance(self._deeds.address, head)
        if held < bond:
            raise NotYet(
                f"proposing the slash of {leaf.provider} takes a bond of {bond} stake-token units, "
                f"{self._deeds.address} holds {held}: send it stake tokens"
            )
        if await token.allowance(self._deeds.address, court.address, head) < bond:
            name = f"bond:{epoch}:{leaf.provider}:{bond}"
            await self._deeds.until_done(name, token.approve(court.address, bond))
        try:
            await self._deeds.until_done(f"slash:{epoch}:{leaf.provider}", court.propose(epoch, leaf, siblings))
        except ContractRefused as refused:
            if refused.error_name == "AlreadyProposed":
                return True
            if refused.error_name != "OutOfStatute":
                raise
            log.error("a slash is out of statute and left out", epoch=epoch, provider=leaf.provider)
            return False
        return True

    async def _advance(self, slash_id: int, epoch: int, harmed: Harmed | None) -> None:
        """Take one slash as far as it goes at this block."""
        head = await self._chain.head()
        slash = await self._court.slash(slash_id, head)
        if slash is None:
            raise NotYet(f"slash {slash_id} was reorganised away")
        if slash.stage is SlashStage.CONTESTED:
            if head.time <= slash.rule_by:
                raise NotYet(f"slash {slash_id} is contested: the arbitrator has until {slash.rule_by}")
            await self._lapse(slash_id, epoch, f"slash {slash_id} waits for the arbitrator's silence to end")
        elif slash.stage in (SlashStage.OPEN, SlashStage.UPHELD):
            if head.time < slash.executable_at:
                raise NotYet(f"slash {slash_id} can be executed at {slash.executable_at}")
            if slash.queued:
                await self._lapse(slash_id, epoch, f"slash {slash_id} is queued and waits for the timelock's release")
            else:
                await self._deeds.until_done(f"execute:{slash_id}:{epoch}", self._court.execute(slash_id))
        slash = await self._court.slash(slash_id, await self._chain.head())
        if slash is not None and slash.stage is SlashStage.EXECUTED and harmed is not None:
            await self._compensate(slash, epoch, harmed)

    async def _lapse(self, slash_id: int, epoch: int, waits_for: str) -> None:
        """Cancel a slash on which somebody kept silent; raises NotYet while the contract says it is too early."""
        try:
            await self._deeds.until_done(f"lapse:{slash_id}:{epoch}", self._court.lapse(slash_id))
        except ContractRefused as refused:
            raise NotYet(f"{waits_for} ({refused})") from refused

    async def _compensate(self, slash: SlashView, epoch: int, harmed: Harmed) -> None:
        """Hand in every page of the harmed that nobody handed in yet."""
        pages = harm_pages(harmed) if any(slash.harmed) else ()
        if slash.pages_given >= len(pages):
            return
        for page in pages:
            call = self._court.compensate(slash.id, page, page_proof(harmed, page.index))
            try:
                await self._deeds.until_done(f"compensate:{slash.id}:{epoch}:{page.index}", call)
            except ContractRefused as refused:
                if refused.error_name != "PageGiven":
                    raise


def _ended(slash: SlashView, harmed: Harmed | None) -> bool:
    """Say whether nothing is left to be done about a slash."""
    if slash.stage is SlashStage.CANCELLED:
        return True
    pages = len(harm_pages(harmed)) if harmed is not None and any(slash.harmed) else 0
    return slash.stage is SlashStage.EXECUTED and slash.pages_given >= pages
