"""Check everything that must be right before a provider serves; each failure says how to mend it.

A check is a function over what was looked at; the looking (engine, chain, HTTP) is done by `examine`, so that each
judgement can be tested alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx2
import orjson

from marketplace.agent.config import ProviderConfig
from marketplace.agent.engines import make_engine
from marketplace.agent.engines.base import CHAT, COMPLETIONS, CONTINUE, EMBEDDINGS, FEATURE_OF_ROUTE
from marketplace.agent.errors import AgentError
from marketplace.agent.offer import Offer, make_offer
from marketplace.agent.seam import try_seam

# clocks apart by less than this harm nobody: tickets live for minutes, slots for a minute
_MOST_AHEAD_S = 10.0
_MOST_BEHIND_S = 900.0
_PROMPT = "Answer with one word: what colour is the sky?"


class Verdict(StrEnum):
    """What a check found; only FAILED makes the doctor's exit code other than zero."""

    GOOD = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, what was found, and how to mend it where it is not good."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """What the chain says, as the checks need it.

    Amounts are stake-token units, `gas_wei` is the owner's native balance.
    """

    chain_id: int
    head_number: int
    head_time: int
    opened: bool
    known: bool
    signer: str
    offer_digest: bytes
    endpoint: str
    active: bool
    jailed: bool
    stake: int
    required_stake: int
    balance: int
    gas_wei: int
    gateways: int


def good(check: str, found: str) -> Finding:
    """Return a finding without fault."""
    return Finding(check, Verdict.GOOD, found)


def failed(check: str, found: str, mend: str) -> Finding:
    """Return a fault and how to mend it."""
    return Finding(check, Verdict.FAILED, found, mend)


def failed_by(check: str, error: Exception, mend: str = "") -> Finding:
    """Return a fault from an error; its own advice comes first."""
    return failed(check, str(error) or type(error).__name__, getattr(error, "mend", "") or mend)


# --------------------------------------------------------------------------------------------------- looking at the
# engine


async def examine_engine(config: ProviderConfig) -> list[Finding]:
    """Start the engine, ask each model something on each route it is offered for, and stop it again."""
    findings: list[Finding] = []
    try:
        engine = make_engine(config)
    except AgentError as error:
        return [failed_by("engine", error, "correct [engine] in the provider file")]
    try:
        started = time.monotonic()
        await engine.start()
        await engine.check()
        findings.append(good("engine", f"{config.engine_kind} answers after {time.monotonic() - started:.1f} s"))
    except Exception as error:
        findings.append(failed_by("engine", error, "start the engine, or correct [engine] in the provider file"))
        await engine.stop()
        return findings
    try:
        for model in config.models:
            for route in (CHAT, COMPLETIONS, EMBEDDINGS):
                if FEATURE_OF_ROUTE[route] in model.features:
                    findings.append(await _ask(engine, route, model.engine_model, model.id))
                    if CONTINUE in model.features and route != EMBEDDINGS:
                        findings.append(await _break(engine, route, model.engine_model, model.id))
    finally:
        await engine.stop()
    return findings


async def _ask(engine: Any, route: str, engine_model: str, name: str) -> Finding:
    check = f"model {name}, {FEATURE_OF_ROUTE[route]}"
    request: dict[str, Any] = {"model": engine_model, "max_tokens": 8, "temperature": 0}
    if route == CHAT:
        request["messages"] = [{"role": "user", "content": _PROMPT}]
    elif route == COMPLETIONS:
        request["prompt"] = _PROMPT
    else:
        request = {"model": engine_model, "input": _PROMPT}
    started = time.monotonic()
    try:
        answer = orjson.loads(await engine.complete(route, request))
        usage = answer["usage"]
        tokens = usage["prompt_tokens" if route == EMBEDDINGS else "completion_tokens"]
    except AgentError as error:
        return failed_by(
            check, error, f"load {engine_model} in the engine, or correct engine_model in the provider file"
        )
    except (ValueError, KeyError, TypeError):
        return failed(check, "the answer has no token counts (usage)", "use an engine that reports usage, or update it")
    if not tokens:
        return failed(check, "the answer is empty", "try the model by hand: it must answer a plain prompt")
    return good(check, f"{tokens} tokens in {time.monotonic() - started:.2f} s")


async def _break(engine: Any, route: str, engine_model: str, name: str) -> Finding:
    check = f"model {name}, continue ({FEATURE_OF_ROUTE[route]})"
    mend = 'take "continue" out of features: this engine cannot go on with an answer that broke elsewhere'
    try:
        whole, joined = await try_seam(engine, route, engine_model)
    except (AgentError, ValueError, AttributeError) as error:
        return failed_by(check, error, mend)
    if whole != joined:
        return failed(check, f"an answer that was broken off went on differently: {joined!r} after {whole!r}", mend)
    return good(check, f"{len(whole)} characters, broken in the middle and the same")


def examine_weights(config: ProviderConfig) -> tuple[Offer | None, list[Finding]]:
    """Make the offer, which hashes the weights; return it with a finding for each model."""
    try:
        offer = make_offer(config)
    except AgentError as error:
        return None, [failed_by("weights", error)]
    return offer, [
        good(f"weights of {model.config.id}", f"0x{model.weights_digest.hex()}")
        if model.config.weights
        else Finding(
            f"weights of {model.config.id}",
            Verdict.WARNING,
            f"0x{model.weights_digest.hex()} is taken on trust",
            "give `weights` a path, so that the digest is computed from the file the engine loads",
        )
        for model in offer.models
    ]


# ------------------------------------------------------------------------------------------------ judging what was read


def judge_clock(head_time: int, now: float, slot_s: int) -> Finding:
    """Compare this machine's clock with the newest block's time; a block from the future proves a slow clock."""
    ahead = head_time - now
    if ahead > _MOST_AHEAD_S:
        return failed(
            "clock", f"{ahead:.0f} s behind the chain's newest block", "set the clock: tickets would outlive their time"
        )
    if -ahead > max(_MOST_BEHIND_S, 30 * slot_s):
        return failed(
            "clock",
            f"the newest block is {-ahead:.0f} s old",
            "set the clock if it runs ahead (tickets would be refused as expired); else use an RPC that follows",
        )
    return good("clock", f"the newest block is {max(-ahead, 0):.0f} s old")


def judge_clock_of(name: str, theirs: float, asked: float, answered: float) -> Finding:
    """Compare this machine's clock with another's, who said `theirs` between `asked` and `answered`; the whole
    second of a
    Date header and the way there and back are allowed for."""
    apart = max(asked - theirs - 1.0, theirs - answered, 0.0)
    if apart > _MOST_AHEAD_S:
        return failed(
            f"clock against {name}", f"{apart:.0f} s apart", "set this machine's clock (NTP), or tell the gateway"
        )
    return good(f"clock against {name}", f"less than {apart + 1:.0f} s apart")


def judge_registration(registration: Registration, owner: str, signer: str | None, endpoint: str) -> list[Finding]:
    """Compare what is registered with the provider file and the signer's keystore."""
    if not registration.known:
        return [failed("registration", f"{owner} is not registered", "bonded provider register")]
    findings = [good("registration", owner)]
    if signer is not None and registration.signer != signer:
        findings.append(
            failed(
                "signer",
                f"registered is {registration.signer}, the keystore holds {signer}",
                "give the registered signer's keystore, or bonded provider update",
            )
        )
    elif signer is not None:
        findings.append(good("signer", signer))
    if registration.endpoint != endpoint:
        findings.append(
            failed(
                "endpoint", f"registered is {registration.endpoint}, the file says {endpoint}", "bonded provider update"
            )
        )
    if registration.jailed:
        findings.append(
            failed(
                "standing",
                "the provider is jailed or removed",
                "see bonded provider earnings for the slash, and its reason",
            )
        )
    return findings


def judge_offer(registration: Registration, offer: Offer | None) -> list[Finding]:
    """Compare the offer's digest on chain with the file's."""
    if not registration.known or offer is None:
        return []
    if registration.offer_digest != offer.digest:
        return [
            failed(
                "offer",
                f"on chain is 0x{registration.offer_digest.hex()}, the file makes 0x{offer.digest.hex()}",
                "bonded provider update puts the file's offer on chain",
            )
        ]
    return [good("offer", f"0x{offer.digest.hex()}")]


def judge_keys(owner: str, signer: str) -> Finding:
    """The hot key must not be the key that holds the stake."""
    if owner == signer:
        return failed(
            "keys", "the signer is the owner's own key", "bonded provider keys new signer, then bonded provider update"
        )
    return good("keys", "owner and signer are two keys")


def judge_stake(registration: Registration, shown: Callable[[int], str]) -> list[Finding]:
    """Compare the stake with what is required, and the owner's balances with what is still to be sent."""
    if not registration.known:
        return []
    findings = []
    short = registration.required_stake - registration.stake
    if short > 0:
        able = (
            ""
            if registration.balance >= short
            else f"; the owner holds {shown(registration.balance)}, send it more first"
        )
        findings.append(
            failed(
                "stake",
                f"{shown(registration.stake)} of {shown(registration.required_stake)} required",
                f"bonded provider stake {shown(short)}{able}",
            )
        )
    else:
        findings.append(good("stake", f"{shown(registration.stake)}, required {shown(registration.required_stake)}"))
    if registration.gas_wei == 0:
        findings.append(
            Finding(
                "gas",
                Verdict.WARNING,
                "the owner holds no native currency",
                "send it a little: updates, claims and exits cost gas",
            )
        )
    return findings


def judge_network(registration: Registration) -> list[Finding]:
    """Check that the deployment is open and that somebody could send work."""
    findings = [good("chain", f"chain {registration.chain_id}, block {registration.head_number}")]
    if not registration.opened:
        findings.append(failed("epochs", "the epoch clock was not opened", "ask the operator: EpochLedger.open"))
    if not registration.gateways:
        findings.append(
            Finding(
                "gateways", Verdict.WARNING, "no gateway is bonded", "nobody can send work yet: wait for an operator"
            )
        )
    else:
        findings.append(good("gateways", f"{registration.gateways} bonded"))
    return findings


# --------------------------------------------------------------------------------------------------- reachability


async def examine_endpoint(config: ProviderConfig, endpoint: str) -> Finding:
    """Fetch /health through the registered endpoint.

    Where no agent listens yet, a listener of the doctor answers on `listen` for that moment, so the way from outside
    is tried before serving.
    """
    token = secrets.token_hex(8)
    async with _standing_in(config, token) as standing_in:
        try:
            async with httpx2.AsyncClient(timeout=10.0, follow_redirects=False, trust_env=False) as client:
                answer = await client.get(f"{endpoint.rstrip('/')}/health", headers={"accept-encoding": "identity"})
            value = orjson.loads(answer.content[:65536])
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            where = f"{config.listen_host}:{config.listen_port}"
            return failed(
                "reachability",
                f"{endpoint}/health cannot be fetched: {error or type(error).__name__}",
                f"forward the endpoint to {where} (firewall, proxy, DNS), or correct [provider] endpoint and update",
            )
        except ValueError:
            value = None
    if not isinstance(value, dict):
        return failed(
            "reachability", f"{endpoint}/health answers something else", "another program listens there: correct it"
        )
    if standing_in and value.get("doctor") == token:
        return good("reachability", f"{endpoint} leads here (no agent is running)")
    if value.get("provider") == config.owner:
        running = str(value.get("status"))
        if running == "ok":
            return good("reachability", f"{endpoint} answers")
        return failed(
            "reachability", f"the agent at {endpoint} is {running}", "see its log; bonded provider serve starts it"
        )
    return failed("reachability", f"{endpoint} leads to another provider", "correct [provider] endpoint and update")


@contextlib.asynccontextmanager
async def _standing_in(config: ProviderConfig, token: str) -> AsyncIterator[bool]:
    body = orjson.dumps({"doctor": token})
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(5.0):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head + body)
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, config.listen_host, config.listen_port)
    except OSError:
        # something listens there already: the agent itself, as a rule
        yield False
        return
    try:
        yield True
    finally:
        server.close()


async def examine_gateway_clocks(endpoints: dict[str, str], most: int = 3) -> list[Finding]:
    """Compare clocks with up to `most` gateways by the Date header of their /health.

    One that does not answer is left out.
    """
    from email.utils import parsedate_to_datetime

    findings = []
    async with httpx2.AsyncClient(timeout=5.0, follow_redirects=False, trust_env=False) as client:
        for address, endpoint in list(endpoints.items())[:most]:
            asked = time.time()
            try:
                answer = await client.get(f"{endpoint.rstrip('/')}/health")
                theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, KeyError, ValueError, TypeError):
                continue
            findings.append(judge_clock_of(f"gateway {address[:10]}", theirs, asked, time.time()))
    return findings


async def guarded(check: str, work: Awaitable[list[Finding]], mend: str) -> list[Finding]:
    """Run a part of the examination; an unexpected error becomes a finding, so that the others are still made."""
    try:
        return await work
    except Exception as error:
        return [failed_by(check, error, mend)]
