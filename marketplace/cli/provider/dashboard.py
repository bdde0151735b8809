"""`bonded provider dashboard`: one screen that follows the provider while it serves."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.customer.account import GATEWAY_DEFAULT, GatewayOption
from marketplace.cli.output import JsonFlag, fail, print_json, whole
from marketplace.cli.provider.session import CONFIG_DEFAULT, ConfigOption, load_session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from marketplace.cli.provider.watching import Agent

_TIMEOUT_S = 5.0


def add_to(app: typer.Typer) -> None:
    """Add this module's command to the group."""
    app.command()(dashboard)


def dashboard(
    config: ConfigOption = CONFIG_DEFAULT,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    provider: Annotated[str, typer.Option("--provider", help="Whose, if not the provider file's owner.")] = "",
    agent: Annotated[str, typer.Option("--agent", help="Where the agent listens; else the provider file's.")] = "",
    cost: Annotated[float, typer.Option("--cost", min=0, help="What an hour costs you, in payment tokens.")] = 0.0,
    every: Annotated[float, typer.Option("--every", min=0.5, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Follow slots, queue, tokens a second, score, thresholds, earnings against cost, stake and strikes."""
    session = load_session(config, None, None, "", None)
    owner = (provider or session.owner).lower()
    listen = agent or (_beside(session.config.listen_host, session.config.listen_port) if session.config else "")

    async def look(before: tuple[Agent, float] | None) -> tuple[dict[str, Any], tuple[Agent, float] | None]:
        from marketplace.cli.provider.watching import summary

        now = time.monotonic()
        detail, status, seen = await _read(gateway.rstrip("/"), owner, listen)
        facts = summary(detail, status, seen, before, now, cost)
        return facts, (seen, now) if seen is not None else None

    async def work() -> None:
        facts, before = await look(None)
        if facts["agent"] is None and facts["market"] is None:
            fail(f"neither the gateway at {gateway} nor the agent at {listen or 'no address'} answered",
                 "name them with --gateway and --agent")  # fmt: skip
        if as_json:
            print_json(facts)
            return
        from rich.console import Console
        from rich.live import Live

        if once:
            Console().print(_screen(facts))
            return
        with Live(_screen(facts), screen=True, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(every)
                facts, before = await look(before)
                live.update(_screen(facts), refresh=True)

    asyncio.run(work())


def _beside(host: str, port: int) -> str:
    """Return where an agent that listens on a host of this machine is reached from here."""
    near = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not listened on
    return f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"


async def _read(gateway: str, owner: str, agent: str) -> tuple[Any, Any, Agent | None]:
    """Ask gateway and agent at once; None for what did not answer."""
    import httpx2

    from marketplace.cli.provider.watching import read_metrics

    async with httpx2.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:

        async def get(url: str) -> httpx2.Response | None:
            try:
                answer = await client.get(url)
            except (httpx2.HTTPError, httpx2.InvalidURL):
                return None
            return answer if answer.status_code == httpx2.codes.OK else None

        detail, status, metrics = await asyncio.gather(
            get(f"{gateway}/api/providers/{owner}"),
            get(f"{gateway}/api/status"),
            get(f"{agent}/metrics") if agent else asyncio.sleep(0, None),
        )
    return (
        detail.json() if detail else None,
        status.json() if status else None,
        read_metrics(metrics.text) if metrics else None,
    )


def _screen(facts: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    market = facts["market"]
    title = (
        f"{market['provider']} · {market['status']} · epoch {market['epoch']}" if market else "the gateway is silent"
    )
    parts: list[Any] = [Text(title, style="bold")]
    if market and market["problem"]:
        parts.append(Text(f"gets no work: {market['problem']}", style="bold red"))
    parts.append(_agent(facts["agent"], facts["waiting"]))
    if market:
        parts += [_score(market), _thresholds(market), _money(market)]
    return Group(*parts)


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at == 0 else "right")
    return table


def _agent(agent: dict[str, Any] | None, waiting: list[dict[str, Any]]) -> Any:
    if agent is None:
        from rich.text import Text

        return Text("the agent does not answer: is it serving? (--agent names another address)", style="yellow")
    table = _table("agent", "model", "at the engine", "places at the gateway", "waiting there")
    lines = {line["model"]: line for line in waiting}
    for model in sorted({*agent["in_flight"], *lines}):
        line = lines.get(model)
        queued = sum(line[band] for band in ("realtime", "standard", "batch", "background")) if line else None
        table.add_row(
            model,
            str(agent["in_flight"].get(model, 0)),
            f"{line['used']} of {line['places']}" if line else "–",
            "–" if queued is None else str(queued),
        )
    pace = agent["tokens_per_second"]
    table.caption = (
        f"{'–' if pace is None else f'{pace:.1f}'} tokens a second · receipts "
        + (", ".join(f"{count} {name}" for name, count in agent["attempts"].items()) or "none yet")
        + f" · {agent['open_receipts']} not handed over" + (" · draining" if agent["draining"] else "")
    )  # fmt: skip
    table.caption_justify = "left"
    return table


def _score(market: dict[str, Any]) -> Any:
    table = _table("score", "part", "last epoch", "weight")
    for one in market["parts"]:
        table.add_row(one["part"], _percent(one["measured_ppm"]), f"{one['weight_percent']} %")
    table.add_row("score, with its memory", _percent(market["score_ppm"]), "")
    return table


def _thresholds(market: dict[str, Any]) -> Any:
    table = _table("next thresholds of an epoch's uptime", "below", "costs", "slots that may be down before")
    for one in market["thresholds"]:
        table.add_row(_percent(one["uptime_ppm"]), one["loses"], str(one["slots_left"]))
    return table


def _money(market: dict[str, Any]) -> Any:
    hour, decimals = market["per_hour"], market["stake_decimals"]
    table = _table("money", "", "")
    for name in ("earned", "cost", "left"):
        value = hour[name]
        table.add_row(f"{name} an hour", "–" if value is None else f"{value:.6f} {market['token']}")
    table.add_row("stake", whole(int(market["stake_units"]), decimals, market["stake_token"]))
    table.add_row("required", whole(int(market["required_units"]), decimals, market["stake_token"]))
    for one in market["strikes"]:
        table.add_row(f"strike of epoch {one['epoch']}", f"forgotten from epoch {one['forgotten_from']}")
    for one in market["slashes"]:
        table.add_row(f"slash {one['id']}", one["state"])
    return table


def _percent(value_ppm: int | None) -> str:
    return "–" if value_ppm is None else f"{value_ppm / 10_000:.2f} %"
