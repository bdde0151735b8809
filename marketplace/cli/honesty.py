"""`bonded auditor honesty`: what an epoch's evidence says of who serves what, and of whom probes and customers got.

Every p-value is computed again here: that of the answers from the verifiers' samples where these can be had, that of
the times from the receipts. Holds no key and no account.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.chain import FINALITY_DEFAULT, RPC_DEFAULT, DeploymentOption, FinalityOption, RpcOption, open_chain
from marketplace.cli.output import ExitCode, JsonFlag, print_json, print_line, print_table

if TYPE_CHECKING:
    from rewards.blindness import Blindness
    from rewards.blobs import Source
    from rewards.honesty import Checked
    from rewards.types import EpochInputs, SignedCheckDay

_SAMPLES_MOST = 4 << 20
_PPB_PER_ONE = 1e9


@dataclass(frozen=True, slots=True)
class Compared:
    """One verifier's comparison of one provider; `again` is the p-value found here, None where samples are missing."""

    verifier: str
    provider: str
    completions: int
    model_ppb: int
    again_ppb: int | None

    @property
    def holds(self) -> bool:
        """Say whether nothing contradicts what was signed."""
        return self.again_ppb in (None, self.model_ppb)


def honesty(
    epoch: Annotated[int, typer.Argument(min=0, help="A reported epoch.")],
    evidence: Annotated[
        str,
        typer.Option("--evidence", envvar="BONDED_EVIDENCE", help="A folder of blobs, or an evidence server's URL."),
    ] = "evidence",
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show what checks and receipts say of every provider; exit 5 where samples do not give the p-value signed."""
    asyncio.run(_honesty(epoch, evidence, rpc, deployment, finality, as_json))


async def _honesty(epoch: int, evidence: str, rpc: str, deployment: Path | None, finality: str, as_json: bool) -> None:
    from contracts.history import read_signed
    from rewards.blindness import blindness
    from rewards.blobs import source_at
    from rewards.epoch import tally
    from rewards.evidence import read_bundle
    from rewards.honesty import check

    source = source_at(evidence)
    async with open_chain(rpc, deployment, finality) as chain:
        signed = await read_signed(chain, epoch, await chain.checkpoint())
    inputs = (await asyncio.to_thread(read_bundle, source, signed.evidence)).inputs
    compared = [
        await asyncio.to_thread(_compare, one, inputs, source) for one in inputs.check_days if one.day.completions
    ]
    checked, blind = check(inputs, tally(inputs)), blindness(inputs)
    if as_json:
        found = {"checked": _findings(checked), "levels": {name: one.level for name, one in checked.items()}}
        print_json({"epoch": epoch, "compared": compared, **found, "blind": blind})
    else:
        _show(compared, checked, blind)
    if not all(one.holds for one in compared):
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _compare(signed: SignedCheckDay, inputs: EpochInputs, source: Source) -> Compared:
    """Compute a p-value again from the samples, from the evidence or else from the verifier itself."""
    from rewards.blobs import source_at
    from rewards.errors import EvidenceMissing
    from rewards.verifier.samples import read_samples

    endpoint = next(one.endpoint for one in inputs.verifiers if one.operator == signed.verifier)
    again = None
    for where in (source, source_at(endpoint)):
        try:
            with where.open("samples", signed.day.samples, _SAMPLES_MOST) as opened:
                again = read_samples(opened.read(_SAMPLES_MOST), signed.day.samples).test().p_ppb
            break
        except (EvidenceMissing, OSError):
            continue
    return Compared(signed.verifier, signed.day.provider, signed.day.completions, signed.day.model_ppb, again)


def _findings(checked: dict[str, Checked]) -> dict[str, list[dict[str, Any]]]:
    return {name: [{"rule": rule, **numbers} for rule, numbers in one.findings] for name, one in checked.items()}


def _show(compared: list[Compared], checked: dict[str, Checked], blind: tuple[Blindness, ...]) -> None:
    print_table(
        "Sampled answers beside a reference's: how likely so great a difference is if both serve the same model",
        ("provider", "verifier", "answers", "p-value signed", "computed again"),
        [
            (
                one.provider,
                one.verifier,
                one.completions,
                _p(one.model_ppb),
                "no samples to be had" if one.again_ppb is None else _p(one.again_ppb),
            )
            for one in compared
        ],
        numbers=("answers", "p-value signed", "computed again"),
    )
    print_table(
        "Times to the first token: probes beside customers, and how likely probes are as much faster by chance",
        ("provider", "probes", "customers", "median of probes", "of customers", "p-value"),
        [
            (one.provider, one.probes, one.customers, f"{one.probes_median_ms} ms", f"{one.customers_median_ms} ms",
             _p(one.p_ppb))
            for one in blind
        ],
        numbers=("probes", "customers", "median of probes", "of customers", "p-value"),
    )  # fmt: skip
    for name, one in sorted(checked.items()):
        if one.passed < one.asked or one.level:
            words = "; ".join(f"{rule}: {_words(numbers)}" for rule, numbers in one.findings)
            level = f", level {one.level}" if one.level else ""
            print_line(f"{name}: {one.passed} of {one.asked} passed{level}. {words}")


def _words(numbers: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in numbers.items())


def _p(ppb: int) -> str:
    return f"{ppb / _PPB_PER_ONE:.2g}"
