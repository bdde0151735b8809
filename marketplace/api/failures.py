"""How failures look: errors in OpenAI's shape for programs, a page for people below `/dashboard`."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from contracts.errors import BadAddress, ContractsError
from marketplace.accounts import UnknownKey
from marketplace.api.knocks import TooManyRefused
from marketplace.api.sessions import SessionEnded, SignInRefused
from marketplace.dashboard.rendering import FormRefused, Renderer
from marketplace.errors import BondedError
from marketplace.ratings import NothingToRate, RatedBefore

log = structlog.get_logger("api")

_TITLES = {403: "Not from this session", 404: "Not found", 405: "Not found", 503: "Not at this moment"}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_AWAY = "the gateway's database or chain is away: try again in a moment"


def answer_failures(app: FastAPI, pages: Renderer) -> None:
    """Give every failure an answer, unforeseen ones too."""

    async def shaped(request: Request, status: int, message: str, code: str) -> Response:
        if request.url.path.startswith("/dashboard"):
            return await pages.problem(request, status, _TITLES.get(status, "That did not work"), message)
        kind = "invalid_request_error" if status < 500 else "server_error"
        return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)

    @app.exception_handler(SessionEnded)
    async def session_ended(request: Request, error: SessionEnded) -> Response:
        if request.url.path.startswith("/dashboard"):
            return RedirectResponse("/dashboard/sign-in", status_code=303)
        return await shaped(request, 401, str(error), "session_ended")

    @app.exception_handler(SignInRefused)
    async def sign_in_refused(request: Request, error: SignInRefused) -> Response:
        return await shaped(request, 401, str(error), "sign_in_refused")

    @app.exception_handler(TooManyRefused)
    async def slow_down(request: Request, error: TooManyRefused) -> Response:
        return await shaped(request, 429, str(error), "too_many_refused")

    @app.exception_handler(FormRefused)
    async def form_refused(request: Request, error: FormRefused) -> Response:
        return await shaped(request, 403, str(error), "form_refused")

    @app.exception_handler(UnknownKey)
    async def unknown_key(request: Request, error: UnknownKey) -> Response:
        return await shaped(request, 404, str(error), "not_found")

    @app.exception_handler(NothingToRate)
    async def nothing_to_rate(request: Request, error: NothingToRate) -> Response:
        return await shaped(request, 404, str(error), "not_found")

    @app.exception_handler(RatedBefore)
    async def rated_before(request: Request, error: RatedBefore) -> Response:
        return await shaped(request, 409, str(error), "rated_before")

    @app.exception_handler(BondedError)
    async def refused(request: Request, error: BondedError) -> Response:
        return await shaped(request, 400, str(error), "refused")

    @app.exception_handler(BadAddress)
    async def bad_address(request: Request, error: BadAddress) -> Response:
        return await shaped(request, 400, str(error), "bad_address")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return await shaped(request, 422, f"{where}: {first['msg']}", "invalid_request")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "refused")
        return await shaped(request, error.status_code, str(error.detail), code)

    @app.exception_handler(ContractsError)
    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeout)
    async def away(request: Request, error: Exception) -> Response:
        log.warning("a request could not be answered", path=request.url.path, error=str(error))
        return await shaped(request, 503, _AWAY, "unavailable")

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        return await shaped(request, 500, "the gateway failed to answer this request", "internal_error")
