"""`bonded provider maintenance|commission`: when it will be away, and what its delegators leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.options import with_options
from marketplace.cli.output import ExitCode, JsonFlag, fail, print_json, print_line, print_table
from marketplace.cli.pause import readable
from marketplace.cli.provider.sending import Manner, Step, carry_out
from marketplace.cli.provider.session import (
    CONFIG_DEFAULT,
    ConfigOption,
    DeploymentOption,
    KeystoreOption,
    ProviderAccess,
    RpcOption,
    load_session,
    run,
)

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.types import Checkpoint, Window

maintenance = typer.Typer(no_args_is_help=True, help="Declare when the provider will be away.")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PPM_OF_PERCENT = 10_000
_FOR_EVER = 2**63


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    app.add_typer(maintenance, name="maintenance")
    app.command()(commission)


@maintenance.command()
@with_options
def declare(
    access: ProviderAccess,
    manner: Manner,
    after: Annotated[str, typer.Argument(help="How long from now it begins: 90m, 26h, 2d.")],
    lasting: Annotated[str, typer.Argument(help="How long it lasts: 30m, 4h.")],
) -> None:
    """Announce that the provider will be away; slots that begin in the window do not count for its uptime."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            settings = await staking.settings(at)
            ahead = seconds(after)
            if ahead < settings.notice_s:
                fail(
                    f"maintenance is announced at least {settings.notice_s} s ahead, this is {ahead} s",
                    "begin later; an outage before is measured like any other",
                )
            starts = at.time + ahead
            window = (starts, starts + seconds(lasting))
            numbers = {
                "provider": owner.address,
                "begins": readable(window[0]),
                "ends": readable(window[1]),
                "most in 30 days": f"{settings.maintenance_s} s",
            }
            step = Step("declare maintenance", staking.declare_maintenance(*window))
            await carry_out(session, chain, owner, "maintenance", numbers, [step], manner, "Announce this?")

    run(work)


@maintenance.command()
@with_options
def cancel(
    access: ProviderAccess,
    manner: Manner,
) -> None:
    """Take back the last window, as long as it has not begun."""
    session = access.load()

    async def work() -> None:
        from contracts.staking import Staking

        owner = session.open_owner()
        async with session.chain() as chain:
            staking, at = Staking(chain), await chain.head()
            windows = await _windows(chain, owner.address, at)
            if not windows or windows[-1].starts_at <= at.time:
                fail("no maintenance is ahead", "bonded provider maintenance list shows what was declared")
            index = await staking.maintenance_count(owner.address, at) - 1
            numbers = {
                "provider": owner.address,
                "begins": readable(windows[-1].starts_at),
                "ends": readable(windows[-1].ends_at),
            }
            step = Step("cancel maintenance", staking.cancel_maintenance(index))
            await carry_out(session, chain, owner, "maintenance", numbers, [step], manner, "Take this back?")

    run(work)


@maintenance.command("list")
def list_(
    config: ConfigOption = CONFIG_DEFAULT,
    keystore: KeystoreOption = None,
    rpc: RpcOption = "",
    deployment: DeploymentOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show every window that was declared and not taken back."""
    session = load_session(config, keystore, None, rpc, deployment)

    async def work() -> tuple[tuple[Window, ...], int]:
        async with session.chain() as chain:
            at = await chain.head()
            return await _windows(chain, session.owner, at), at.time

    windows, now = run(work)
    if as_json:
        print_json({"provider": session.owner, "windows": windows})
    elif not windows:
        print_line("no maintenance was declared", "dim")
    else:
        rows = [(readable(one.starts_at), readable(one.ends_at), _state(one, now)) for one in windows]
        print_table("maintenance", ("begins", "ends", ""), rows)


@with_options
def commission(
    access: ProviderAccess,
    manner: Manner,
    percent: Annotated[str, typer.Argument(help="Of the delegators' part of the incentive: 10, or 2.5.")],
) -> None:
    """Set the commission: a rise counts from the epoch after the next, a cut from the running one."""
    session = access.load()

    async def work() -> None:
        from contracts.delegation import Delegation

        owner = session.open_owner()
        async with session.chain() as chain:
            delegation, at = Delegation(chain), await chain.head()
            wanted = ppm_of(percent)
            pool = await delegation.pool(owner.address, at)
            numbers: dict[str, Any] = {
                "provider": owner.address,
                "commission": percent_of(pool.commission_ppm),
                "new commission": percent_of(wanted),
                "counts from": "the epoch after the next" if wanted > pool.commission_ppm else "the running epoch",
            }
            step = Step("set the commission", delegation.set_commission(wanted))
            await carry_out(session, chain, owner, "commission", numbers, [step], manner, "Set this commission?")

    run(work)


async def _windows(chain: Chain, provider: str, at: Checkpoint) -> tuple[Window, ...]:
    from contracts.staking import Staking

    return await Staking(chain).maintenance(provider, 0, _FOR_EVER, at)


def _state(window: Window, now: int) -> str:
    if now < window.starts_at:
        return f"in {window.starts_at - now} s"
    return "over" if now >= window.ends_at else "running"


def seconds(text: str) -> int:
    """Read a length of time written by a person: `90m`, `26h`, `2d`, or plain seconds."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS_S else (text, "s")
    if not number.isdigit() or not int(number):
        fail(f"{text!r} is not a length of time", "write it like 90m, 26h or 2d", ExitCode.USAGE)
    return int(number) * _UNITS_S[unit]


def ppm_of(percent: str) -> int:
    """Read a share written in percent, from 0 to 100 with at most four digits after the point."""
    from decimal import Decimal, InvalidOperation

    try:
        ppm = Decimal(percent.strip().removesuffix("%").strip()) * _PPM_OF_PERCENT
    except InvalidOperation:
        fail(f"{percent!r} is not a share in percent", "write it like 10 or 2.5", ExitCode.USAGE)
    if not ppm.is_finite() or ppm != int(ppm) or not 0 <= ppm <= 100 * _PPM_OF_PERCENT:
        fail(f"{percent} is not a share from 0 to 100 %", "use at most four digits after the point", ExitCode.USAGE)
    return int(ppm)


def percent_of(ppm: int) -> str:
    """Write a share in percent."""
    return f"{ppm / _PPM_OF_PERCENT:g} %"
