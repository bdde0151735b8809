"""`bonded provider status`: how it stands on chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from marketplace.cli.output import JsonFlag, fail, print_facts, print_json, print_table, whole
from marketplace.cli.pause import readable
from marketplace.cli.provider.earning import STANDINGS, find_claimable, leaf_of
from marketplace.cli.provider.session import (
    CONFIG_DEFAULT,
    ConfigOption,
    DeploymentOption,
    KeystoreOption,
    RpcOption,
    load_session,
    run,
)
from marketplace.cli.provider.terms import percent_of

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.history import PublishedReport
    from contracts.types import Checkpoint


def add_to(app: typer.Typer) -> None:
    """Add this module's command to the group."""
    app.command()(status)


def status(
    config: ConfigOption = CONFIG_DEFAULT,
    keystore: KeystoreOption = None,
    rpc: RpcOption = "",
    deployment: DeploymentOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show registration, stake, delegation, score, standing, open slashes and what can be claimed or withdrawn."""
    session = load_session(config, keystore, None, rpc, deployment)

    async def work() -> dict[str, Any]:
        from contracts.delegation import Delegation
        from contracts.epochs import Epochs
        from contracts.staking import Staking
        from contracts.tokens import Token
        from contracts.types import HardwareClass, ProviderStatus

        async with session.chain() as chain:
            staking, at, owner = Staking(chain), await chain.head(), session.owner
            known = await staking.provider(owner, at)
            if known is None:
                fail(f"{owner} is not registered", "bonded provider register")
            stake_token, pay_token = Token(chain, "StakeToken"), Token(chain, "PaymentToken")
            stake_decimals, pay_decimals = await stake_token.decimals(at), await pay_token.decimals(at)
            pool = await Delegation(chain).pool(owner, at)
            progress = await Epochs(chain).progress(at)
            published = await _newest_report(chain, progress.next_epoch, at)
            leaf = leaf_of(published, owner)
            claimable = await find_claimable(chain, owner, at)
            return {
                "provider": owner,
                "status": ProviderStatus(known.status).name.lower(),
                "matched": await staking.is_active(owner, at),
                "signer": known.signer,
                "endpoint": known.endpoint,
                "region": known.region,
                "hardware": f"{known.units} × {HardwareClass(known.hardware_class).name}",
                "weight": known.weight,
                "offer_digest": known.offer_digest,
                "stake": whole(known.stake, stake_decimals),
                "required_stake": whole(known.required_stake, stake_decimals),
                "slashed_total": whole(known.slashed_total, stake_decimals),
                "delegated": whole(pool.delegated, stake_decimals),
                "commission": percent_of(pool.commission_ppm),
                "unbonds": [
                    {
                        "id": unbond.id,
                        "amount": whole(unbond.amount, stake_decimals),
                        "matured": unbond.matured,
                        "release_in_s": max(0, unbond.release_at - at.time),
                    }
                    for unbond in await staking.unbonds(owner, at)
                ],
                "withdrawable": whole(await staking.withdrawable(owner, at), stake_decimals),
                "stake_balance": whole(await stake_token.balance(owner, at), stake_decimals),
                "payment_balance": whole(await pay_token.balance(owner, at), pay_decimals),
                "claimable_fees": whole(claimable.fees if claimable else 0, pay_decimals),
                "claimable_incentive": whole(claimable.incentive if claimable else 0, pay_decimals),
                "current_epoch": progress.current_epoch,
                "reported_epoch": published.report.epoch if published else None,
                "score": f"{leaf.score_ppm / 1e6:.4f}" if leaf else None,
                "uptime_ppm": leaf.uptime_ppm if leaf else None,
                "success_ppm": leaf.success_ppm if leaf else None,
                "verification_ppm": leaf.verification_ppm if leaf else None,
                "strikes": leaf.strikes if leaf else None,
                "standing": STANDINGS[leaf.standing] if leaf else None,
                "slash_level": leaf.slash_level if leaf else None,
                "slashes": await _open_slashes(chain, owner, at),
            }

    facts = run(work)
    if as_json:
        print_json(facts)
        return
    unbonds, slashes = facts.pop("unbonds"), facts.pop("slashes")
    facts["offer_digest"] = "0x" + facts["offer_digest"].hex()
    shown = {name.replace("_", " "): "–" if value is None else value for name, value in facts.items()}
    print_facts("", shown)
    if unbonds:
        print_table("unbonding", ("id", "amount", "released in"), [_unbond_row(unbond) for unbond in unbonds])
    if slashes:
        print_table("slashes that are open", list(slashes[0]), [list(one.values()) for one in slashes])


def _unbond_row(unbond: dict[str, Any]) -> tuple[Any, Any, str]:
    when = "now: bonded provider withdraw" if unbond["matured"] else f"{unbond['release_in_s']} s"
    return unbond["id"], unbond["amount"], when


async def _open_slashes(chain: Chain, provider: str, at: Checkpoint) -> list[dict[str, Any]]:
    """Return the slashes of a provider that have not come to their end."""
    from contracts.court import Court
    from contracts.tokens import Token
    from contracts.types import SlashStage

    decimals = await Token(chain, "StakeToken").decimals(at)
    return [
        {
            "id": one.id,
            "epoch": one.epoch,
            "code": one.code,
            "amount": whole(one.amount, decimals),
            "stage": one.stage.name.lower() + (", queued" if one.queued else ""),
            "executable": readable(one.executable_at),
        }
        for one in await Court(chain).slashes(at)
        if one.provider == provider and one.stage not in (SlashStage.EXECUTED, SlashStage.CANCELLED)
    ]


async def _newest_report(chain: Chain, next_epoch: int, at: Checkpoint) -> PublishedReport | None:
    from contracts.history import read_report

    return await read_report(chain, next_epoch - 1, at) if next_epoch else None
