"""`bonded provider earnings|claim`: what was earned and lost in each epoch, and fetching it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from marketplace.cli.options import with_options
from marketplace.cli.output import (
    JsonFlag,
    fail,
    print_json,
    print_line,
    print_table,
    whole,
)
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
    from contracts.history import PublishedReport
    from contracts.types import Checkpoint, Leaf


STANDINGS = ("whole", "half", "a quarter")
"""Routing weight by standing."""


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (earnings, claim):
        app.command()(command)


@dataclass(frozen=True, slots=True)
class Claimable:
    """The newest activated leaf of a provider with its proof, and what it has not yet been paid."""

    epoch: int
    leaf: Leaf
    proof: tuple[bytes, ...]
    fees: int
    incentive: int


def earnings(
    config: ConfigOption = CONFIG_DEFAULT,
    keystore: KeystoreOption = None,
    rpc: RpcOption = "",
    deployment: DeploymentOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show, from the chain alone, what each epoch brought and cost, and what was claimed."""
    session = load_session(config, keystore, None, rpc, deployment)

    async def work() -> dict[str, Any]:
        from contracts.history import read_history
        from contracts.tokens import Token

        async with session.chain() as chain:
            at, owner = await chain.head(), session.owner
            found = await read_history(chain, at)
            pay = await Token(chain, "PaymentToken").decimals(at)
            stake = await Token(chain, "StakeToken").decimals(at)
        activated = {activation.epoch for activation in found.activations}
        epochs = {one.id: one.epoch for one in found.proposals}
        codes = {one.id: one.code for one in found.proposals}
        rows = _by_epoch(found.reports, owner, activated, pay)
        return {
            "provider": owner,
            "epochs": rows,
            "claims": [
                {"epoch": one.epoch, "fees": whole(one.fees, pay), "incentive": whole(one.incentive, pay)}
                for one in found.claims
                if one.provider == owner
            ],
            "slashes": [
                {
                    "id": one.id,
                    "epoch": epochs.get(one.id),
                    "code": codes.get(one.id),
                    "taken": whole(one.taken, stake),
                    "to_harmed": whole(one.to_harmed, stake),
                }
                for one in found.slashes
                if one.provider == owner
            ],
        }

    facts = run(work)
    if as_json:
        print_json(facts)
        return
    print_table(
        f"earnings of {facts['provider']}",
        ("epoch", "fees", "incentive", "credits", "uptime", "score", "strikes", "standing", "slash level", "claimable"),
        [list(row.values()) for row in facts["epochs"]],
        numbers=("epoch", "fees", "incentive", "credits", "uptime", "score"),
    )
    for name in ("claims", "slashes"):
        if facts[name]:
            print_table(name, list(facts[name][0]), [list(row.values()) for row in facts[name]])
    if not facts["epochs"]:
        print_line("no epoch was settled with this provider yet")


def _by_epoch(
    reports: tuple[PublishedReport, ...], owner: str, activated: set[int], decimals: int
) -> list[dict[str, Any]]:
    """Turn cumulative leaves into what each epoch brought.

    Credits are what was given back to customers for this provider.
    """
    rows = []
    fees = incentive = 0
    for published in sorted(reports, key=lambda one: one.report.epoch):
        leaf = leaf_of(published, owner)
        if leaf is None:
            continue
        epoch = published.report.epoch
        credits = sum(credit.amount for credit in published.report.credits if credit.provider == owner)
        rows.append(
            {
                "epoch": epoch,
                "fees": whole(leaf.cumulative_fees - fees, decimals),
                "incentive": whole(leaf.cumulative_incentive - incentive, decimals),
                "credits": whole(credits, decimals),
                "uptime": f"{leaf.uptime_ppm / 1e4:.2f} %" if leaf.measured else "not measured",
                "score": f"{leaf.score_ppm / 1e6:.4f}",
                "strikes": leaf.strikes,
                "standing": STANDINGS[leaf.standing],
                "slash_level": leaf.slash_level,
                "claimable": "yes" if epoch in activated else "after activation",
            }
        )
        fees, incentive = leaf.cumulative_fees, leaf.cumulative_incentive
    return rows


@with_options
def claim(
    access: ProviderAccess,
    manner: Manner,
) -> None:
    """Fetch everything earned up to the newest activated epoch; leaf and proof are built from the chain's events."""
    session = access.load()

    async def work() -> None:
        from contracts.epochs import Epochs
        from contracts.tokens import Token

        owner = session.open_owner()
        async with session.chain() as chain:
            at = await chain.head()
            found = await find_claimable(chain, owner.address, at)
            if found is None:
                fail("no activated report names this provider yet", "wait until an epoch it worked in is activated")
            if not found.fees and not found.incentive:
                fail(f"everything up to epoch {found.epoch} was claimed", "wait for the next activation")
            decimals = await Token(chain, "PaymentToken").decimals(at)
            numbers = {
                "provider": owner.address,
                "epoch": found.epoch,
                "fees": whole(found.fees, decimals),
                "incentive": whole(found.incentive, decimals),
            }
            step = Step("claim", Epochs(chain).claim(found.leaf, found.epoch, found.proof))
            await carry_out(session, chain, owner, "claim", numbers, [step], manner, "Claim?")

    run(work)


async def find_claimable(chain: Chain, provider: str, at: Checkpoint) -> Claimable | None:
    """Return the newest activated leaf of a provider with its proof, from events alone; None when there is none.

    The proof is checked against the root on chain before anybody pays gas for it.
    """
    from contracts.epochs import Epochs
    from contracts.history import read_report
    from contracts.leaves import leaf_hashes, proof, verify

    epochs = Epochs(chain)
    epoch = (await epochs.progress(at)).next_activation - 1
    if epoch < 0:
        return None
    published = await read_report(chain, epoch, at)
    leaf = leaf_of(published, provider)
    if leaf is None:
        return None
    hashes = leaf_hashes(chain.chain_id, chain.deployment.address("EpochLedger"), published.report)
    index = published.report.leaves.index(leaf)
    siblings = proof(hashes, index)
    record = await epochs.record(epoch, at)
    if record is None or not verify(record.root, hashes[index], siblings):
        fail(f"the leaves published for epoch {epoch} do not hash to the root on chain", "use another RPC endpoint")
    fees, incentive = await epochs.claimed(provider, at)
    return Claimable(epoch, leaf, siblings, leaf.cumulative_fees - fees, leaf.cumulative_incentive - incentive)


def leaf_of(published: PublishedReport | None, provider: str) -> Leaf | None:
    """Return a provider's leaf in a report, None where it has none."""
    if published is None:
        return None
    return next((leaf for leaf in published.report.leaves if leaf.provider == provider), None)
