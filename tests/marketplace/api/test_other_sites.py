"""What pages of other sites, guessers and strangers to the devnet's wallet may not do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.signing import Signer
from marketplace.api.knocks import MOST_REFUSED, REFILL_S, Knocks, TooManyRefused
from marketplace.api.origin import from_elsewhere
from tests.marketplace.api.test_sign_in import refusal
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

ELSEWHERE = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"},
)


@pytest.fixture
def browser(settled: Settled, visitor: Visitor) -> Visitor:
    """Return the first customer's browser, whose cookie would do."""
    assert visitor.sign_in(settled.customers[0]).status_code == 200
    return visitor


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_the_page_of_another_site_changes_nothing_although_the_cookie_came(browser: Visitor, headers: dict[str, str]):
    before = browser.get("/api/keys").json()
    for path, body in (("/api/keys", {"name": "x"}), ("/api/playground/key", {}), ("/api/auth/session", {})):
        assert refusal_of(browser.post(path, json=body, headers=headers)) == (403, "other_site")
    assert browser.delete("/api/keys/1", headers=headers).status_code == 403
    for path in ("/dashboard/keys", "/dashboard/sign-in/devnet", "/dashboard/devnet/wallet", "/dashboard/sign-out"):
        assert browser.post(path, data={"index": "1"}, headers=headers).status_code == 403
    assert browser.get("/api/keys").json() == before


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_files_and_batches_take_the_cookie_from_our_own_pages_only(browser: Visitor, headers: dict[str, str]):
    assert browser.get("/v1/batches").status_code == browser.get("/v1/files").status_code == 200
    own = {"origin": f"http://{browser.host}", "sec-fetch-site": "same-origin"}
    assert browser.get("/v1/batches", headers=own).status_code == 200
    for method, path in (("GET", "/v1/batches"), ("POST", "/v1/batches"), ("POST", "/v1/files")):
        assert browser.request(method, path, headers=headers).status_code == 401
    browser.cookies.clear()
    browser.cookies.set("bonded_session", "made-up")
    assert browser.get("/v1/batches").status_code == 401


def refusal_of(answer) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_gateway_behind_another_name_knows_its_own_pages():
    behind = {b"host": b"inside:8080", b"origin": b"https://market.example"}
    assert from_elsewhere(behind) and not from_elsewhere(behind, "market.example")
    assert not from_elsewhere({b"host": b"inside:8080"}), "a program names no origin"
    assert from_elsewhere({b"host": b"inside:8080", b"origin": b"https://market.example.evil"}, "market.example")


def test_who_keeps_being_refused_waits_and_nobody_else_does():
    time = 0.0
    knocks = Knocks(lambda: time)
    for _ in range(MOST_REFUSED):
        knocks.check("one")
        knocks.refused("one")
    with pytest.raises(TooManyRefused, match="wait a minute"):
        knocks.check("one")
    knocks.check("another")
    time += REFILL_S
    knocks.check("one")
    knocks.refused("one")
    with pytest.raises(TooManyRefused):
        knocks.check("one")


def test_refused_sign_ins_are_bounded_over_http_and_good_ones_are_not(settled: Settled):
    with settled.serving(settled.services) as url, Visitor(url) as visitor:
        for _ in range(3):
            assert visitor.sign_in(settled.customers[0]).status_code == 200
        codes = {
            visitor.post("/api/auth/session", json={"message": "x", "signature": "0x"}).status_code for _ in range(100)
        }
        assert codes == {401, 429}
        answer = visitor.post("/api/auth/session", json={"message": "x", "signature": "0x"})
        assert refusal(answer) == (429, "too_many_refused")


def test_the_devnets_wallet_signs_for_whom_is_signed_in_and_does_nothing_else(settled: Settled, browser: Visitor):
    own, other = settled.customers[0].address, settled.customers[1].address

    def ask(method: str, params: list) -> tuple[int, object]:
        answer = browser.post("/dashboard/devnet/wallet", json={"method": method, "params": params})
        return answer.status_code, answer.json().get("result")

    assert ask("eth_accounts", []) == (200, [own]) and ask("eth_chainId", []) == (200, "0x7a69")
    for method, params in (
        ("eth_sendTransaction", [{"from": other, "to": own, "value": "0x1"}]),
        ("eth_sendTransaction", [{"to": own}]),
        ("eth_sendTransaction", []),
        ("eth_signTypedData_v4", [other, "{}"]),
        ("eth_sign", [own, "0x"]),
        ("personal_sign", ["0x", own]),
        ("anvil_setBalance", [own, "0x0"]),
        ("evm_mine", []),
        ("debug_traceTransaction", ["0x"]),
    ):
        assert ask(method, params)[0] == 400, method


def test_the_devnets_wallet_is_nowhere_but_on_a_devnet(settled: Settled, visitor: Visitor):
    assert visitor.post("/dashboard/devnet/wallet", json={"method": "eth_accounts"}).status_code == 303
    settings = settled.services.settings.model_copy(update={"devnet": False})
    with settled.serving(replace(settled.services, settings=settings)) as url, Visitor(url) as other:
        other.sign_in(settled.customers[0])
        assert other.post("/dashboard/devnet/wallet", json={"method": "eth_accounts"}).status_code in (404, 405)
        assert "devnet-wallet.js" not in other.get("/dashboard").text


def test_a_session_that_was_planted_does_not_become_somebody_elses(visitor: Visitor):
    thief, victim = Signer(b"\x31" * 32), Signer(b"\x32" * 32)
    planted = visitor.sign_in(thief).json()["token"]
    token = visitor.sign_in(victim).json()["token"]
    assert token != planted and visitor.get("/api/balance").json()["customer"] == victim.address
    visitor.cookies.clear()
    kept = visitor.get("/api/balance", headers={"authorization": f"Bearer {planted}"})
    assert kept.json()["customer"] == thief.address, "it is still the thief's own, and nobody else's"


def test_every_page_forbids_what_it_does_not_need(visitor: Visitor):
    for path in ("/dashboard/sign-in", "/dashboard/providers", "/dashboard/static/talk.js", "/api/status"):
        policy = visitor.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
