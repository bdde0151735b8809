"""Render templates with what every page needs, and check who asks."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy.exc import SQLAlchemyError

from contracts.errors import ContractsError
from marketplace.api.reads import Reads
from marketplace.api.sessions import COOKIE, SESSION_S, SessionEnded, Sessions
from marketplace.api.views import StatusView
from marketplace.dashboard import formats
from marketplace.errors import BondedError

HERE = Path(__file__).parent
PAGES = (
    (
        "Your account",
        (
            ("/dashboard", "Balance"),
            ("/dashboard/playground", "Playground"),
            ("/dashboard/keys", "Keys"),
            ("/dashboard/batches", "Batches"),
            ("/dashboard/usage", "Usage"),
            ("/dashboard/receipts", "Receipts"),
        ),
    ),
    (
        "The market",
        (
            ("/dashboard/providers", "Providers"),
            ("/dashboard/epochs", "Epochs"),
            ("/dashboard/slashes", "Slashes"),
            ("/dashboard/refunds", "Refunds"),
        ),
    ),
)


class FormRefused(BondedError):
    """The form does not belong to this session: open the page again and send it from there."""


class Renderer:
    """The pages of one gateway. `secret` keys the form tokens; `secure` marks the cookie for https alone."""

    def __init__(self, reads: Reads, sessions: Sessions, secret: bytes, secure: bool) -> None:
        self._reads = reads
        self._sessions = sessions
        self._secret = secret
        self._secure = secure
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            enable_async=True,
        )
        self._templates.filters.update(formats.FILTERS)

    async def customer(self, request: Request, form_token: str | None = None) -> str:
        """Return who asks; raises SessionEnded, or FormRefused when a given form token is not this session's."""
        cookie = request.cookies.get(COOKIE)
        customer = await self._sessions.customer(cookie)
        if form_token is not None:
            expected = self._form_token(cookie or "")
            if not hmac.compare_digest(form_token.encode(), expected.encode()):
                raise FormRefused(FormRefused.__doc__)
        return customer

    def signed_in(self, session: str) -> Response:
        """Return the redirect that sets a session cookie."""
        answer = RedirectResponse("/dashboard", status_code=303)
        self.set_session(answer, session)
        return answer

    def set_session(self, answer: Response, session: str) -> None:
        """Put a session token into a cookie that scripts cannot read and other sites cannot send."""
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_S, httponly=True, samesite="strict", secure=self._secure, path="/"
        )

    async def render(self, request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
        """Render a page."""
        return await self._render(request, template, status_code, await self._reads.status(), values)

    async def as_program(self, work: Awaitable[Any]) -> Response:
        """Answer a page's script as the control API answers programs: the result, or a refusal in OpenAI's shape."""
        try:
            return JSONResponse({"result": await work})
        except BondedError as error:
            said = {"message": str(error), "type": "invalid_request_error", "param": None, "code": "refused"}
            return JSONResponse({"error": said}, 400)

    async def problem(self, request: Request, status_code: int, title: str, words: str) -> Response:
        """Render what went wrong; needs neither database nor chain."""
        status: StatusView | None = None
        if status_code < 500:
            try:
                status = await self._reads.status()
            except (SQLAlchemyError, ContractsError):
                status = None
        return await self._render(request, "problem.html", status_code, status, {"title": title, "words": words})

    async def _render(
        self, request: Request, template: str, status_code: int, status: StatusView | None, values: dict[str, Any]
    ) -> Response:
        cookie = request.cookies.get(COOKIE)
        try:
            customer: str | None = await self._sessions.customer(cookie)
        except SessionEnded:
            customer = None
        text = await self._templates.get_template(template).render_async(
            pages=PAGES,
            here=request.url.path,
            customer=customer,
            form_token=self._form_token(cookie or ""),
            status=status,
            base_url=str(request.base_url).rstrip("/"),
            **values,
        )
        return HTMLResponse(text, status_code)

    def _form_token(self, cookie: str) -> str:
        return hmac.new(self._secret, b"bonded form " + cookie.encode(), sha256).hexdigest()
