"""Hold the ledger against the chain, and every contract's books against its tokens, at one final block.

Each line names two sums. They must be the same; but a contract may hold more tokens than its books say, because anybody
can send it some, which are then nobody's.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from sqlalchemy import func, select

from contracts.chain import Chain
from contracts.court import Court
from contracts.delegation import Delegation
from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.history import read_report
from contracts.operators import Operators
from contracts.staking import Staking
from contracts.tokens import Token
from contracts.types import Checkpoint
from marketplace.db import Database
from marketplace.indexer import Indexer
from marketplace.ledger import customer_books, trial_balance
from marketplace.models import attempts, epoch_steps, outbox

_STUCK_BLOCKS = 64


@dataclass(frozen=True, slots=True)
class BookLine:
    """Two sums that must be equal, with what they are; `unit` says in what they are counted.

    `covered`: the second may be larger, because it counts tokens.
    """

    what: str
    ours: int
    theirs: int
    unit: str
    covered: bool = False

    @property
    def equal(self) -> bool:
        """Say whether the line holds."""
        return self.ours == self.theirs or (self.covered and self.ours < self.theirs)


async def check_books(database: Database, chain: Chain) -> list[BookLine]:
    """Bring the index up to the last final block and compare; returns every line, equal or not."""
    final = await chain.checkpoint()
    unit = 10 ** (18 - await Token(chain, "PaymentToken").decimals(final))
    await Indexer(database, chain, unit).follow()
    block = await chain.block(await Indexer(database, chain, unit).position())
    at = block or final
    async with database.begin() as connection:
        trial = await trial_balance(connection)
        books = await customer_books(connection)
        charged_ever = sum(one.credited for one in books.values())
        used = int((await connection.execute(select(func.coalesce(func.sum(attempts.c.charge), 0)))).scalar_one())
        sent = (await connection.execute(select(outbox.c.row["broadcast_block"].astext).where(~outbox.c.ended))).all()
        halted = (
            await connection.execute(
                select(func.count()).select_from(epoch_steps).where(epoch_steps.c.problem.like("%another report%"))
            )
        ).scalar_one()
    head = await chain.head()
    stuck = sum(block is not None and int(block) + _STUCK_BLOCKS < head.number for (block,) in sent)
    escrow, epochs = Escrow(chain), Epochs(chain)
    customers = await escrow.customers(at)
    funds = await escrow.funds(at)
    ledger = await epochs.books(at)
    lines = [
        BookLine("debits = credits over the whole ledger", trial.debits, trial.credits, "atto"),
        BookLine("transfers = debits", trial.transferred, trial.debits, "atto"),
        BookLine("accounts whose kept balance is not the sum of their transfers", len(trial.wrong_accounts), 0, ""),
        BookLine(
            "ledger: sum of customers = escrow's balances on chain",
            sum(one.escrow for one in books.values()),
            funds.balances * unit,
            "atto",
        ),
        BookLine("ledger: account escrow = escrow's balances on chain", trial.escrow, funds.balances * unit, "atto"),
        BookLine(
            "customers whose ledger is not their escrow on chain",
            sum(
                (books[view.customer].escrow if view.customer in books else 0) != view.balance * unit
                for view in customers
            ),
            0,
            "",
        ),
        BookLine("charges of receipts = used in the ledger", used, charged_ever, "atto"),
        *await contract_lines(chain, at),
        BookLine(f"transactions not final after {_STUCK_BLOCKS} blocks", stuck, 0, ""),
        BookLine("epochs halted by a report that is not ours", int(halted), 0, ""),
    ]
    return lines + await _leaf_lines(chain, at, ledger.fees, ledger.incentives)


async def contract_lines(chain: Chain, at: Checkpoint) -> list[BookLine]:
    """Compare what each contract says that its tokens are for with the tokens it holds."""
    pay, stake = Token(chain, "PaymentToken"), Token(chain, "StakeToken")
    funds, ledger = await Escrow(chain).funds(at), await Epochs(chain).books(at)
    staking, delegation = await Staking(chain).totals(at), await Delegation(chain).totals(at)
    bonds, harmed = await Court(chain).books(at)
    verifiers = await Operators(chain, "Verifiers").total_bonds(at)
    gateways = await Operators(chain, "Gateways").total_bonds(at)
    said: list[tuple[str, str, str, int, int]] = [
        (
            "escrow contract",
            "JobEscrow",
            "balances + SLA fund; compensation + its SLA fund",
            funds.balances + funds.sla_fund,
            funds.compensation + funds.stake_sla_fund,
        ),
        (
            "epoch ledger",
            "EpochLedger",
            "pending + refunds + credits + pools + fees + incentives + owed + fund",
            sum(astuple(ledger)),
            0,
        ),
        (
            "staking contract",
            "ProviderStaking",
            "stake + unbonding + matured",
            0,
            staking.stake + staking.unbonding + staking.matured,
        ),
        (
            "delegation contract",
            "Delegation",
            "rewards; delegated + unbonding + matured",
            delegation.rewards,
            delegation.delegated + delegation.unbonding + delegation.matured,
        ),
        ("court", "SlashingCourt", "bonds + what waits for the harmed", 0, bonds + harmed),
        ("verifiers", "Verifiers", "bonds", 0, verifiers),
        ("gateways", "Gateways", "bonds", 0, gateways),
    ]
    lines = []
    for who, name, what, paid, staked in said:
        address = chain.deployment.address(name)
        held, bonded = await pay.balance(address, at), await stake.balance(address, at)
        if pay.address == stake.address:
            lines.append(BookLine(f"{who}: {what} = its tokens", paid + staked, held, "units", covered=True))
            continue
        lines.append(BookLine(f"{who}: {what} = its payment tokens", paid, held, "units", covered=True))
        lines.append(BookLine(f"{who}: {what} = its stake tokens", staked, bonded, "stake units", covered=True))
    return lines


async def _leaf_lines(chain: Chain, at: Checkpoint, fees: int, incentives: int) -> list[BookLine]:
    """Compare the leaves of the last active report with what its contract holds for them."""
    epochs = Epochs(chain)
    progress = await epochs.progress(at)
    if not progress.next_activation:
        return []
    published = await read_report(chain, progress.next_activation - 1, at)
    leaves = published.report.leaves
    claimed = [await epochs.claimed(leaf.provider, at) for leaf in leaves]
    return [
        BookLine(
            "leaves: cumulative fees = claimed + still claimable",
            sum(leaf.cumulative_fees for leaf in leaves),
            sum(one[0] for one in claimed) + fees,
            "units",
        ),
        BookLine(
            "leaves: cumulative incentives = claimed + still claimable",
            sum(leaf.cumulative_incentive for leaf in leaves),
            sum(one[1] for one in claimed) + incentives,
            "units",
        ),
    ]
