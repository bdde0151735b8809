"""Open a slash from a report and put one before the arbitrator: what anybody may do with a bond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.cli.deeds import Manner
from marketplace.cli.options import Access
from marketplace.cli.output import fail, whole
from marketplace.cli.pause import readable, refuse_while_paused
from marketplace.cli.payment import Payment

if TYPE_CHECKING:
    from contracts.calls import Call
    from contracts.chain import Chain
    from contracts.court import Court
    from contracts.signing import Signer

_PPM = 1_000_000


async def propose(access: Access, epoch: int, provider: str, manner: Manner) -> None:
    """Open the slash that an activated report calls for; leaf and proof are read from the chain's events."""
    from contracts.court import Court
    from contracts.history import read_report
    from contracts.leaves import leaf_hashes, proof
    from contracts.signing import normal_address
    from contracts.staking import Staking

    signer, name = access.open_key(), normal_address(provider)
    async with access.chain() as chain:
        head, court = await chain.head(), Court(chain)
        report = (await read_report(chain, epoch, head)).report
        index = next((i for i, leaf in enumerate(report.leaves) if leaf.provider == name), None)
        if index is None:
            fail(f"the report of epoch {epoch} has no leaf of {name}", "see `bonded auditor history`")
        leaf = report.leaves[index]
        if leaf.slash_level < 2:
            fail(f"the report calls for no slash of {name}: level {leaf.slash_level}", "levels 2 and above are slashed")
        known_id = await court.slash_of(name, epoch, head)
        if known_id:
            fail(f"the slash of {name} from epoch {epoch} was proposed: number {known_id}", "")
        hashes = leaf_hashes(chain.chain_id, chain.deployment.address("EpochLedger"), report)
        call = court.propose(epoch, leaf, proof(hashes, index))
        known = await Staking(chain).provider(name, head)
        amount = (known.required_stake if known else 0) * await court.code_ppm(leaf.slash_level, head) // _PPM
        facts = {"proposer": signer.address, "provider": name, "epoch": epoch, "code": leaf.slash_level}
        await _with_bond(access, chain, signer, court, ("propose", call), amount, facts, manner)


async def contest(access: Access, slash_id: int, statement: bytes, manner: Manner) -> None:
    """Put an open slash before the arbitrator; of the statement only the digest goes on chain."""
    from contracts.court import Court
    from contracts.signing import keccak
    from contracts.types import SlashStage

    signer = access.open_key()
    async with access.chain() as chain:
        head, court = await chain.head(), Court(chain)
        slash = await court.slash(slash_id, head)
        if slash is None:
            fail(f"there is no slash {slash_id}", "see `bonded auditor history`")
        reason = keccak(statement)
        facts = {
            "contestant": signer.address,
            "slash": slash_id,
            "provider": slash.provider,
            "stage": slash.stage.name.lower(),
            "open to challenge until": readable(slash.executable_at),
            "digest of the statement": "0x" + reason.hex(),
        }
        if slash.stage is not SlashStage.OPEN:
            fail(f"slash {slash_id} is {slash.stage.name.lower()}", "only an open one can be contested")
        await _with_bond(
            access, chain, signer, court, ("contest", court.contest(slash_id, reason)), slash.amount, facts, manner,
            paused_too=True,
        )  # fmt: skip


async def _with_bond(
    access: Access,
    chain: Chain,
    signer: Signer,
    court: Court,
    step: tuple[str, Call],
    amount: int,
    facts: dict[str, Any],
    manner: Manner,
    paused_too: bool = False,
) -> None:
    """Approve the bond where it is not yet, and send the step. `paused_too`: it can be sent during a pause."""
    from contracts.tokens import Token

    head, token = await chain.head(), Token(chain, "StakeToken")
    bond, held = await court.bond_for(amount, head), await token.balance(signer.address, head)
    decimals, symbol = await token.decimals(head), await token.symbol(head)
    payment = Payment(chain, signer, access.keystore, [step], manner.intent)
    calls = [step]
    if not await payment.begun(step[0]):
        if not paused_too:
            await refuse_while_paused(chain, head)
        if held < bond:
            fail(
                f"the bond is {whole(bond, decimals, symbol)}, {signer.address} holds {whole(held, decimals)}",
                "send stake tokens to this address first",
            )
        if await token.allowance(signer.address, court.address, head) < bond:
            calls.insert(0, ("approve", token.approve(court.address, bond)))
    await payment.make(calls, facts | {"bond": whole(bond, decimals, symbol)}, manner)
