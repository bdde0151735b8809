"""Signing in over HTTP: whose signature, for which site, once; and what is closed without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.signing import Signer
from tests.marketplace.api.visitor import Visitor, sign_in_message, wallet_signature
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

KEY = Signer(b"\x21" * 32)
OWN = ("/api/balance", "/api/keys", "/api/usage", "/api/credits", "/api/receipts", "/api/receipts/0x" + "00" * 32)


def refusal(answer) -> tuple[int, str]:
    """Check that an error has OpenAI's shape; returns status and code."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("invalid_request_error" if answer.status_code < 500 else "server_error")
    assert error["message"] and error["param"] is None
    return answer.status_code, error["code"]


@pytest.mark.parametrize("path", OWN)
def test_what_is_a_customers_own_is_closed_without_a_session(visitor: Visitor, path: str):
    assert refusal(visitor.get(path)) == (401, "session_ended")
    assert refusal(visitor.get(path, headers={"authorization": "Bearer made-up"})) == (401, "session_ended")
    assert refusal(visitor.get(path, headers={"authorization": "Basic x"})) == (401, "session_ended")


def test_writing_is_closed_without_a_session(visitor: Visitor):
    assert refusal(visitor.post("/api/keys", json={"name": "x"})) == (401, "session_ended")
    assert refusal(visitor.delete("/api/keys/1")) == (401, "session_ended")


def test_a_wrong_bearer_is_not_saved_by_a_good_cookie(visitor: Visitor):
    visitor.sign_in(KEY)
    assert visitor.get("/api/balance").status_code == 200
    assert refusal(visitor.get("/api/balance", headers={"authorization": "Bearer made-up"})) == (401, "session_ended")


def test_a_signature_opens_a_session_of_the_address_that_signed(visitor: Visitor):
    answer = visitor.sign_in(KEY)
    assert answer.status_code == 200 and answer.json()["customer"] == KEY.address
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert visitor.get("/api/balance").json()["customer"] == KEY.address


def test_a_message_signed_by_another_is_refused_and_its_nonce_is_gone(visitor: Visitor):
    text = sign_in_message(KEY, visitor.host, visitor.post("/api/auth/nonce").json()["nonce"])
    forged = {"message": text, "signature": wallet_signature(Signer(b"\x22" * 32), text)}
    assert refusal(visitor.post("/api/auth/session", json=forged)) == (401, "sign_in_refused")
    late = {"message": text, "signature": wallet_signature(KEY, text)}
    answer = visitor.post("/api/auth/session", json=late)
    assert refusal(answer) == (401, "sign_in_refused") and "nonce" in answer.json()["error"]["message"]


def test_a_message_is_good_once(visitor: Visitor):
    text = sign_in_message(KEY, visitor.host, visitor.post("/api/auth/nonce").json()["nonce"])
    body = {"message": text, "signature": wallet_signature(KEY, text)}
    assert visitor.post("/api/auth/session", json=body).status_code == 200
    assert refusal(visitor.post("/api/auth/session", json=body)) == (401, "sign_in_refused")


def test_asking_for_many_nonces_does_not_push_out_anybodys(visitor: Visitor):
    mine = visitor.post("/api/auth/nonce").json()["nonce"]
    others = {visitor.post("/api/auth/nonce").json()["nonce"] for _ in range(50)}
    assert len(others) == 50 and mine not in others
    text = sign_in_message(KEY, visitor.host, mine)
    body = {"message": text, "signature": wallet_signature(KEY, text)}
    assert visitor.post("/api/auth/session", json=body).status_code == 200


def test_a_message_lured_out_for_another_site_is_refused_even_with_a_host_header_that_fits(visitor: Visitor):
    text = sign_in_message(KEY, "evil.example", visitor.post("/api/auth/nonce").json()["nonce"])
    body = {"message": text, "signature": wallet_signature(KEY, text)}
    for host in ("evil.example", visitor.host):
        answer = visitor.post("/api/auth/session", json=body, headers={"host": host})
        assert refusal(answer) == (401, "sign_in_refused"), host


def test_a_gateway_with_a_public_url_is_signed_in_to_there_and_nowhere_else(settled: Settled):
    settings = settled.services.settings.model_copy(update={"public_url": "https://market.example"})
    with settled.serving(replace(settled.services, settings=settings)) as url, Visitor(url) as visitor:

        def sign_in(host: str):
            text = sign_in_message(KEY, host, visitor.post("/api/auth/nonce").json()["nonce"])
            body = {"message": text, "signature": wallet_signature(KEY, text)}
            return visitor.post("/api/auth/session", json=body, headers={"host": host})

        answer = sign_in(visitor.host)
        assert refusal(answer) == (401, "sign_in_refused") and "market.example" in answer.json()["error"]["message"]
        answer = sign_in("market.example")
        assert answer.status_code == 200
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "body",
    [
        {"message": "hello", "signature": "0x"},
        {"message": "", "signature": ""},
        {"message": "\x00", "signature": "zz"},
    ],
)
def test_nonsense_is_refused_with_a_sentence(visitor: Visitor, body: dict):
    assert refusal(visitor.post("/api/auth/session", json=body)) == (401, "sign_in_refused")


@pytest.mark.parametrize("signature", ["", "0x", "zz", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64, "é"])
def test_a_signature_that_is_none_is_refused(visitor: Visitor, signature: str):
    text = sign_in_message(KEY, visitor.host, visitor.post("/api/auth/nonce").json()["nonce"])
    answer = visitor.post("/api/auth/session", json={"message": text, "signature": signature})
    assert refusal(answer) == (401, "sign_in_refused")


def test_a_body_that_is_none_is_refused(visitor: Visitor):
    assert refusal(visitor.post("/api/auth/session", content=b"{", headers={"content-type": "application/json"})) == (
        422,
        "invalid_request",
    )
    assert refusal(visitor.post("/api/auth/session", json={"message": "m" * 5000, "signature": "0x"})) == (
        422,
        "invalid_request",
    )


def test_a_body_without_end_is_cut_off(visitor: Visitor):
    for content in (b"x" * 100_000, iter([b"x" * 50_000] * 4)):
        answer = visitor.post("/api/auth/session", content=content, headers={"content-type": "application/json"})
        assert refusal(answer) == (413, "too_large")


def test_devnet_accounts_are_offered_on_a_devnet_only(settled: Settled, visitor: Visitor):
    assert settled.customers[0].address in visitor.get("/dashboard/sign-in").text
    answer = visitor.post("/dashboard/sign-in/devnet", data={"index": "14"})
    assert answer.status_code == 303 and visitor.get("/api/balance").json()["customer"] == settled.customers[0].address
    for index in ("-1", "20", "x", ""):
        assert visitor.post("/dashboard/sign-in/devnet", data={"index": index}).status_code in (403, 422)
    settings = settled.services.settings.model_copy(update={"devnet": False})
    with settled.serving(replace(settled.services, settings=settings)) as url, Visitor(url) as other:
        page = other.get("/dashboard/sign-in")
        assert page.status_code == 200 and settled.customers[0].address not in page.text
        assert other.post("/dashboard/sign-in/devnet", data={"index": "14"}).status_code in (404, 405)
        assert "bonded_session" not in other.cookies
