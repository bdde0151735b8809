"""The table at the end of the demonstration: who earned, lost and got what, and why."""

from __future__ import annotations

from typing import Any

from contracts.epochs import Epochs
from contracts.history import read_history
from contracts.tokens import Token
from contracts.types import UNMEASURED_BUCKET
from marketplace.cli.output import print_line, print_table, whole
from marketplace.demo.cast import Person
from marketplace.demo.scenario import Outcome
from marketplace.demo.stage import Stage
from rewards.measurement import BUCKET_UPPER_MS

_LEVELS = {
    0: "kept its service level",
    1: "uptime 95–98 %: a strike",
    2: "uptime 90–95 %: 1 % of the required stake and a strike",
    3: "uptime 50–90 %: 2 % of the required stake and a strike",
    4: "uptime below 50 %: 4 % of the required stake and a strike",
}


async def print_outcome(stage: Stage, outcome: Outcome) -> None:
    """Read the chain once more and print what everybody came to."""
    chain = stage.open_chain
    head = await chain.head()
    history = await read_history(chain, head)
    pay, stake = Token(chain, "PaymentToken"), Token(chain, "StakeToken")
    pay_decimals, stake_decimals = await pay.decimals(head), await stake.decimals(head)
    reports = [published.report for published in history.reports]

    def money(amount: int) -> str:
        return whole(amount, pay_decimals)

    claimed: dict[str, list[int]] = {}
    for claim in history.claims:
        row = claimed.setdefault(claim.provider, [0, 0])
        row[0] += claim.fees
        row[1] += claim.incentive
    taken: dict[str, int] = {}
    for slash in history.slashes:
        taken[slash.provider] = taken.get(slash.provider, 0) + slash.taken

    rows: list[tuple[Any, ...]] = []
    for person in stage.cast.providers:
        fees, incentive = claimed.get(person.address, [0, 0])
        for report in reports:
            leaf = next((leaf for leaf in report.leaves if leaf.provider == person.address), None)
            if leaf is None:
                continue
            last = report is reports[-1]
            rows.append(
                (
                    person.name,
                    report.epoch,
                    f"{leaf.uptime_ppm / 1e4:.1f} %",
                    _first_token(leaf.ttft_p95_bucket),
                    f"{leaf.success_ppm / 1e4:.0f} %",
                    f"{leaf.verification_ppm / 1e4:.0f} %",
                    f"{leaf.score_ppm / 1e4:.1f}",
                    f"{money(fees)} + {money(incentive)}" if last else "",
                    whole(taken.get(person.address, 0), stake_decimals) if last else "",
                    _LEVELS.get(leaf.slash_level, f"level {leaf.slash_level}"),
                )
            )
    print_table(
        "Providers: what was measured, what they claimed (fees + incentive), what was slashed, and why",
        ("provider", "epoch", "uptime", "ttft p95", "success", "verified", "score", "claimed", "slashed", "why"),
        rows,
        numbers=("epoch", "uptime", "ttft p95", "success", "verified", "score", "claimed", "slashed"),
    )
    print_table(
        "Customers: requests and money",
        ("customer", "sent", "answered", "broken, told so", "refused", "charged", "credited", "from slashes"),
        [
            (
                tally.name,
                tally.sent,
                tally.answered,
                tally.broken,
                tally.refused,
                money(_sum(reports, "charges", "customer", person.address)),
                money(_sum(reports, "credits", "customer", person.address)),
                whole(sum(c.amount for c in history.compensations if c.customer == person.address), stake_decimals),
            )
            for person, tally in zip(stage.cast.customers, outcome.tallies, strict=True)
        ],
        numbers=("sent", "answered", "broken, told so", "refused", "charged", "credited", "from slashes"),
    )
    epochs = Epochs(chain)
    print_table(
        "Verifiers: what their probes cost and what they were paid",
        ("verifier", "charged for probes", "fees owed or claimed"),
        [
            (
                person.name,
                money(_sum(reports, "charges", "customer", person.address)),
                money(_sum(reports, "payees", "verifier", person.address)),
            )
            for person in stage.cast.verifiers
        ],
        numbers=("charged for probes", "fees owed or claimed"),
    )
    books = await epochs.books(head)
    print_line(
        f"Still in the ledger contract: {money(books.fees)} fees and {money(books.incentives)} incentives to claim, "
        f"{money(books.owed)} owed to verifiers and treasury, {money(books.incentive_fund)} in the incentive fund."
    )
    print_line(
        f"Delegation: {stage.cast.delegator.name}, who staked behind steady, claimed {money(outcome.delegated)}."
    )
    for one in outcome.replays:
        print_line(f"Replay of epoch {one['epoch']}: equal, {one['attempts']} attempts, {one['leaves']} leaves.")
    print_line(
        f"Streams that broke when phoenix died: {outcome.continued_streams} continued by another provider,"
        f" {outcome.broken_streams} ended in an explicit error."
    )
    print_line(f"Tampered evidence: {outcome.tampered}")


def _first_token(bucket: int) -> str:
    if bucket == UNMEASURED_BUCKET:
        return "–"
    return f"≤ {BUCKET_UPPER_MS[bucket]} ms" if bucket < len(BUCKET_UPPER_MS) else f"> {BUCKET_UPPER_MS[-1]} ms"


def _sum(reports: list[Any], movement: str, key: str, address: str) -> int:
    return sum(row.amount for report in reports for row in getattr(report, movement) if getattr(row, key) == address)


def addresses(stage: Stage) -> dict[str, str]:
    """Return where everything is, for whoever keeps it running."""
    people: list[Person] = [*stage.cast.providers, *stage.cast.verifiers]
    return {
        "dashboard": f"{stage.cast.gateway.url}/dashboard",
        "OpenAI base_url": f"{stage.cast.gateway.url}/v1",
        "an API key": stage.cast.customers[0].api_key,
        "chain": stage.devnet.url,
        "deployment": str(stage.deployment_path),
        "evidence": f"http://127.0.0.1:{stage.cast.evidence_port}",
        **{person.name: person.url for person in people},
    }
