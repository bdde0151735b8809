"""Answer a provider's "why not me?": for one job, and over what was decided lately."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.exceptions import HTTPException

from marketplace.api.bounds import job_number
from marketplace.api.views import wire
from marketplace.gateway.services import Services
from scheduler.decision import Decision
from scheduler.why_not import TERMS, WhyNot, rough, why_not


def why_not_routes(services: Services, signed_in: Callable[..., Awaitable[str]]) -> APIRouter:
    """Build the routes. Whoever signed in with a provider's owner key or its hot key asks as that provider."""
    router = APIRouter(prefix="/api/provider")

    async def provider_of(account: Annotated[str, Depends(signed_in)]) -> str:
        provider = services.directory.provider_of(account)
        if provider is None:
            raise HTTPException(403, f"{account} is neither owner nor hot key of a registered provider")
        return provider

    Provider = Annotated[str, Depends(provider_of)]

    def tell(provider: str, outcome: Any) -> WhyNot | None:
        return why_not(services.market, provider, outcome, services.desk.matching.now_ms())

    @router.get("/why-not")
    async def lately(provider: Provider, most: Annotated[int, Query(ge=1, le=500)] = 200) -> Any:
        outcomes = await services.decisions.newest(most)
        told = [one for outcome in outcomes if (one := tell(provider, outcome)) is not None]
        return {"provider": provider} | _summary(told)

    @router.get("/why-not/{job}")
    async def one_job(provider: Provider, job: str) -> Any:
        outcome = await services.decisions.find(job_number(job).hex())
        if outcome is None:
            raise HTTPException(
                404, "the decision log does not have this job: it is too old, was left out under load, or not ours"
            )
        told = tell(provider, outcome)
        if told is None:
            model = outcome.demand.model
            told = WhyNot(outcome.job, model, "excluded", "model", model, "it never offered this model here")
        asked = "decision" if isinstance(outcome, Decision) else "refusal"
        amounts = {"terms_atto": _texts(told.terms), "gaps_atto": _texts(told.gaps)}
        plain = {name: value for name, value in wire(told).items() if name not in ("terms", "gaps")}
        return {"provider": provider, "found": asked} | plain | amounts

    return router


def _summary(told: list[WhyNot]) -> dict[str, Any]:
    """Count outcomes and rules; the gaps are means over the jobs in which it was dearer."""
    dearer = [one for one in told if one.outcome == "dearer"]
    return {
        "decisions": len(told),
        "outcomes": dict(Counter(one.outcome for one in told)),
        "rules": dict(Counter(one.rule for one in told if one.outcome != "won")),
        "mean_gaps_atto": _texts(
            {name: rough(sum(one.gaps[name] for one in dearer) / len(dearer)) for name in TERMS if dearer}
        ),
    }


def _texts(amounts: dict[str, int]) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts.items()}
