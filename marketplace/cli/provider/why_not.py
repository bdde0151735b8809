"""`bonded provider why-not`: what kept a job, or jobs in general, from this provider, by the gateway's own log."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from marketplace.cli.customer.account import GATEWAY_DEFAULT, GatewayOption
from marketplace.cli.options import with_options
from marketplace.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, whole
from marketplace.cli.provider.session import ProviderAccess
from marketplace.cli.session import Session, ask

_ATTO_DECIMALS = 18
_MENDS = {
    "cost": "the gaps say where: prices are yours to set, times and failures are what the gateway measured",
    "newcomers_turn": "one decision in twenty is kept for newcomers; nothing to mend",
    "not_drawn": "of a large pool a few are drawn for each job, by capacity and score; a higher score is drawn more",
    "model": "offer this model: bonded provider offer",
    "context": "the request is longer than the context you offer",
    "features": "the request needs what your offer does not list",
    "region": "the customer wants another region",
    "price": "your price is above the customer's limit",
    "budget": "at your prices the request could cost more than the customer has left",
    "stake_ceiling": "its worst cost does not fit under your free stake: bonded provider stake",
    "full": "all your slots were taken: offer more if the machine can bear them",
    "breaker_open": "you failed a moment before: bonded provider doctor",
    "breaker_half_open": "you failed a moment before and are being tried again with batch work",
    "refused_lately": "you said that you were full a moment before",
    "traffic_share": "you already serve as much of this model as one provider may",
    "probation": "you are on probation and get a part of your share",
    "jailed": "you are jailed: bonded provider status",
    "withdrawn": "your offer was withdrawn",
}


def add_to(app: typer.Typer) -> None:
    """Add this module's command to the group."""
    app.command("why-not")(why_not)


@with_options
def why_not(
    access: ProviderAccess,
    job: Annotated[str, typer.Option("--job", help="A job's number, as in receipts; without one: of late.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, max=500, help="How many decisions, newest first.")] = 200,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show the rule that kept a job from you, or by how much another was cheaper, term by term."""
    session = access.load()
    signer = session.open_signer() if session.config is not None and session.keystore is None else None
    path = f"/api/provider/why-not/{job}" if job else f"/api/provider/why-not?most={most}"

    async def work() -> Any:
        async with Session(gateway, access.keystore, access.password_file, signer) as client:
            return await ask(client, "GET", path)

    told = asyncio.run(work())
    if as_json:
        print_json(told)
    elif job:
        _show_one(told)
    else:
        _show_many(told)


def _show_one(told: dict[str, Any]) -> None:
    facts = {"job": told["job"], "model": told["model"], "outcome": told["outcome"].replace("_", " ")}
    facts |= {} if told["outcome"] == "won" else {"rule": told["rule"]}
    facts |= {name: told[name] for name in ("need", "has") if told[name] is not None}
    facts |= {f"expected {name}": value for name, value in told["prediction"].items()}
    print_facts("", facts)
    if told["terms_atto"]:
        rows = [(name, _tokens(told["terms_atto"][name]), _gap(told, name)) for name in told["terms_atto"]]
        print_table("your cost to the gateway", ("term", "yours", "above the winner"), rows, ("yours",))
    if told["outcome"] != "won":
        print_line(_MENDS.get(told["rule"], ""), "dim")


def _show_many(told: dict[str, Any]) -> None:
    print_facts("", {"decisions looked at": told["decisions"], **told["outcomes"]})
    if told["rules"]:
        rows = sorted(told["rules"].items(), key=lambda item: -item[1])
        print_table("why not", ("rule", "jobs", ""), [(rule, n, _MENDS.get(rule, "")) for rule, n in rows], ("jobs",))
    if told["mean_gaps_atto"]:
        rows = [(name, _tokens(value)) for name, value in told["mean_gaps_atto"].items()]
        print_table("mean gap to the winner where you were dearer", ("term", "gap"), rows, ("gap",))


def _gap(told: dict[str, Any], name: str) -> str:
    return _tokens(told["gaps_atto"][name]) if told["gaps_atto"] else ""


def _tokens(atto: str) -> str:
    return whole(int(atto), _ATTO_DECIMALS)
