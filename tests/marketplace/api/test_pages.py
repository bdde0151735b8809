"""The dashboard: every page with data and without, sound HTML, no scripts needed, nobody else's markup or forms."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.marketplace.api.visitor import Page, Visitor
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

OWN = (
    "/dashboard",
    "/dashboard/playground",
    "/dashboard/keys",
    "/dashboard/batches",
    "/dashboard/usage",
    "/dashboard/receipts",
)
PUBLIC = (
    "/dashboard/providers",
    "/dashboard/epochs",
    "/dashboard/epochs/0",
    "/dashboard/slashes",
    "/dashboard/refunds",
    "/dashboard/sign-in",
)
STATIC = Path("marketplace/dashboard/static")


@pytest.fixture
def browser(settled: Settled, visitor: Visitor) -> Visitor:
    """Return the first customer's browser."""
    assert visitor.sign_in(settled.customers[0]).status_code == 200
    return visitor


def page(visitor: Visitor, path: str, status: int = 200) -> Page:
    """Fetch a page and take it apart."""
    answer = visitor.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return Page(answer.text)


@pytest.mark.parametrize("path", OWN)
def test_a_customers_own_pages_send_a_stranger_to_sign_in(visitor: Visitor, path: str):
    answer = visitor.get(path)
    assert answer.status_code == 303 and answer.headers["location"] == "/dashboard/sign-in"


def test_the_root_leads_to_the_dashboard(visitor: Visitor):
    assert visitor.get("/").headers["location"] == "/dashboard"


@pytest.mark.parametrize("path", OWN + PUBLIC)
def test_every_page_is_sound_and_needs_no_script(browser: Visitor, path: str):
    found = page(browser, path)
    assert found.all("html")[0]["lang"] == "en" and len(found.all("h1")) == 1
    assert [a["aria-current"] for a in found.all("a") if "aria-current" in a] == (
        ["page"] if path.count("/") < 3 and path != "/dashboard/sign-in" else []
    )
    for script in found.all("script"):
        assert (
            script["type"] == "module" and (STATIC / (script["src"] or "").removeprefix("/dashboard/static/")).is_file()
        )
    for _, attributes in found.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), attributes
        assert not (attributes.get("href") or "").startswith(("javascript:", "http"))
    for form in found.all("form"):
        assert form["method"] == "post" or form["action"] == "/dashboard/providers"
    for control in found.all("input"):
        assert control["name"]
    assert found.scripts == [], "the security policy would stop a script in the page"


@pytest.mark.parametrize("path", PUBLIC)
def test_public_pages_need_no_session(visitor: Visitor, path: str):
    assert "Sign in" in page(visitor, path).text


def test_pages_show_what_the_api_says(settled: Settled, browser: Visitor):
    shown = page(browser, "/dashboard").text
    credits = browser.get("/api/credits").json()["credits"]
    assert "99.99" in shown and "DUSD" in shown and len(credits) == 4
    assert shown.count("slashed at level 4") == 2 and "1.846153… DSTK" in shown
    receipts = page(browser, "/dashboard/receipts")
    jobs = {row["job"] for row in browser.get("/api/receipts").json()["receipts"]}
    assert jobs == {cell["title"] for cell in receipts.all("td") if cell.get("data-label") == "Job"}
    epochs = page(browser, "/dashboard/epochs")
    assert {link["href"] for link in epochs.all("a")} >= {"/dashboard/epochs/0", "/dashboard/epochs/1"}
    detail = browser.get("/api/epochs/0").json()
    for text in (detail["row"]["root"], detail["row"]["evidence"], detail["row"]["transaction"]):
        assert text in page(browser, "/dashboard/epochs/0").text
    providers = page(browser, "/dashboard/providers").text
    assert "16 slashed" in providers and "slash 2: executed" in providers and "commission 0.00 %" in providers
    assert "not measured" in page(browser, "/dashboard/epochs/0").text, "of whom nobody had attested"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dashboard", "Nothing yet"),
        ("/dashboard/keys", "No keys yet"),
        ("/dashboard/usage", "No requests yet"),
        ("/dashboard/receipts", "No receipts yet"),
        ("/dashboard/batches", "No batches yet"),
    ],
)
def test_pages_without_data_say_so(settled: Settled, visitor: Visitor, path: str, words: str):
    visitor.sign_in(settled.outsider)
    assert words in page(visitor, path).text


def test_every_cell_names_its_column_for_narrow_screens(browser: Visitor):
    for path in (
        "/dashboard",
        "/dashboard/receipts",
        "/dashboard/providers",
        "/dashboard/epochs",
        "/dashboard/epochs/0",
    ):
        found = page(browser, path)
        assert found.all("td")
        assert all(cell.get("data-label") for cell in found.all("td")), path


def test_what_a_provider_registered_is_text_on_every_page(settled: Settled, visitor: Visitor):
    for path in PUBLIC:
        answer = visitor.get(path)
        assert "<script>alert" not in answer.text and "<img" not in answer.text, path
    found = page(visitor, "/dashboard/providers")
    assert "<script>alert(1)</script>" in found.text, "it is shown, as what it is"
    assert found.all("img") == [] and found.all("script") == []


def test_markup_in_a_keys_name_is_text(browser: Visitor):
    name = '"><script>alert(2)</script>'
    found = browser.post("/dashboard/keys", data={"token": browser.form_token(), "name": name})
    assert "<script>alert" not in found.text
    assert name in Page(found.text).text


def test_a_key_is_made_shown_once_and_revoked_by_forms_alone(browser: Visitor):
    made = browser.post("/dashboard/keys", data={"token": browser.form_token(), "name": "by form"})
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    [secret] = [word for word in Page(made.text).text.split() if word.startswith("sk-bonded-") and "…" not in word]
    assert browser.get("/v1/models", headers={"authorization": f"Bearer {secret}"}).status_code == 200
    assert secret not in browser.get("/dashboard/keys").text
    newest = browser.get("/api/keys").json()["keys"][0]
    assert newest["name"] == "by form"
    done = browser.post(f"/dashboard/keys/{newest['id']}/revoke", data={"token": browser.form_token()})
    assert done.status_code == 303 and done.headers["location"] == "/dashboard/keys"
    assert browser.get("/v1/models", headers={"authorization": f"Bearer {secret}"}).status_code == 401


def test_a_keys_limits_are_set_and_shown_by_forms_and_what_is_none_is_refused(browser: Visitor):
    def make(requests: str, tokens: str):
        form = {"token": browser.form_token(), "name": "limited", "requests": requests, "tokens": tokens}
        return browser.post("/dashboard/keys", data=form)

    assert make("60", "100,000").status_code == 201
    newest = browser.get("/api/keys").json()["keys"][0]
    assert (newest["requests_per_minute"], newest["tokens_per_minute"]) == (60, 100_000)
    assert "60 requests, 100,000 tokens" in page(browser, "/dashboard/keys").text
    for wrong in ("0", "-1", "1.5", "many", "9" * 30, "²"):
        answer = make(wrong, "")
        assert answer.status_code == 400 and "whole numbers from 1 on" in Page(answer.text).text, wrong


@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
def test_a_name_that_is_none_is_refused_on_the_page(browser: Visitor, name: str):
    answer = browser.post("/dashboard/keys", data={"token": browser.form_token(), "name": name})
    assert answer.status_code == 400 and "1 to 64 characters" in Page(answer.text).text


def test_forms_of_another_session_are_refused(settled: Settled, browser: Visitor):
    with Visitor(settled.url) as other:
        other.sign_in(settled.customers[1])
        foreign = other.form_token()
    before = browser.get("/api/keys").json()
    key_id = browser.post("/api/keys", json={"name": "kept"}).json()["id"]
    for token in (foreign, "", "0" * 64, "é"):
        for path in ("/dashboard/keys", f"/dashboard/keys/{key_id}/revoke", "/dashboard/sign-out"):
            answer = browser.post(path, data={"token": token, "name": "evil"})
            assert answer.status_code == 403, (path, token)
            assert "does not belong to this session" in Page(answer.text).text
    assert browser.post("/dashboard/keys", data={"name": "evil"}).status_code == 403
    after = browser.get("/api/keys").json()["keys"]
    assert [row["id"] for row in after if row["revoked"] is None] == [
        key_id, *(row["id"] for row in before["keys"] if row["revoked"] is None),
    ]  # fmt: skip


def test_a_form_without_a_session_leads_to_sign_in(visitor: Visitor):
    answer = visitor.post("/dashboard/keys", data={"token": "0" * 64, "name": "x"})
    assert answer.status_code == 303 and answer.headers["location"] == "/dashboard/sign-in"


def test_signing_out_ends_the_cookie(browser: Visitor):
    answer = browser.post("/dashboard/sign-out", data={"token": browser.form_token()})
    assert answer.status_code == 303 and "bonded_session" not in browser.cookies
    assert browser.get("/dashboard").status_code == 303


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dashboard/nothing", 404),
        ("/dashboard/static/nothing.css", 404),
        ("/dashboard/static/../pages.py", 404),
        ("/dashboard/static/%2e%2e/pages.py", 404),
        ("/dashboard/epochs/99", 404),
        ("/dashboard/epochs/x", 422),
        ("/dashboard/epochs/-1", 422),
        ("/dashboard/receipts?before=x", 422),
    ],
)
def test_what_goes_wrong_below_the_dashboard_is_a_page(browser: Visitor, path: str, status: int):
    assert "Back to the dashboard" in page(browser, path, status).text


def test_revoking_a_key_of_somebody_else_is_a_page_that_says_so(browser: Visitor):
    answer = browser.post("/dashboard/keys/9999999/revoke", data={"token": browser.form_token()})
    assert answer.status_code == 404 and "you have no key 9999999" in Page(answer.text).text


def test_receipts_lead_to_older_ones(settled: Settled, browser: Visitor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("marketplace.dashboard.account_pages.RECEIPTS_ON_A_PAGE", 3)
    seen: list[str | None] = []
    path = "/dashboard/receipts"
    while path:
        found = page(browser, path)
        seen += [cell["title"] for cell in found.all("td") if cell.get("data-label") == "Job"]
        path = next((a["href"] or "" for a in found.all("a") if "before=" in (a["href"] or "")), "")
    assert seen == [row["job"] for row in browser.get("/api/receipts?limit=1000").json()["receipts"]]
    assert len(seen) > 6


def test_what_the_pages_load_is_small_and_their_own(visitor: Visitor):
    files = [file for file in STATIC.rglob("*") if file.is_file()]
    packed = 0
    for file in files:
        answer = visitor.get(f"/dashboard/static/{file.relative_to(STATIC)}")
        assert answer.content == file.read_bytes() and answer.headers["content-encoding"] == "gzip"
        packed += int(answer.headers["content-length"])
        if file.parent == STATIC:
            assert "http://" not in file.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "https://" not in file.read_text()
    assert packed < 60_000, "all of it, as it travels"


def test_a_file_that_a_browser_has_travels_once(visitor: Visitor):
    first = visitor.get("/dashboard/static/bonded.css")
    again = visitor.get("/dashboard/static/bonded.css", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    other = visitor.get("/dashboard/static/bonded.css", headers={"accept-encoding": "identity"})
    assert other.content == first.content and "content-encoding" not in other.headers


def test_the_scripts_of_others_are_those_that_were_pinned():
    vendor = STATIC / "vendor"
    pinned = {}
    for line in (vendor / "PINS").read_text().splitlines()[1:]:
        digest, name = line.split()
        pinned[name] = digest
    found = {
        str(file.relative_to(vendor)): hashlib.sha256(file.read_bytes()).hexdigest() for file in vendor.rglob("*.js")
    }
    assert found == pinned and len(found) == 4
