"""A customer's whole way in a real browser: its wallet signs real transactions, and every sum arrives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.marketplace.browser.conftest import OpenPage, enter
from tests.marketplace.browser.wallet import Wallet
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres, pytest.mark.browser]


def sign_in(page: Page, wallet: Wallet) -> Page:
    """Sign in through the wallet."""
    page.goto("/dashboard/sign-in")
    page.click("text=Sign in with your wallet")
    page.wait_for_url("**/dashboard")
    assert page.get_attribute(".who .mono", "title") == wallet.address.lower()
    return page


def deposit(settled: Settled, page: Page, amount: str, how: str = "permit") -> None:
    """Deposit by the page's form, and wait until the gateway counts it."""
    page.goto("/dashboard")
    page.fill("[data-deposit] [name=amount]", amount)
    page.select_option("[data-deposit] [name=how]", how)
    page.click("[data-deposit] button")
    finish(settled, page)


def finish(settled: Settled, page: Page) -> None:
    """Wait for the page's transactions, let the indexer read their blocks, and show the page again."""
    expect(page.locator("[data-steps]")).to_contain_text("Waiting until the gateway")
    settled.index()
    page.click("text=Show the new balance")
    page.wait_for_load_state()


def figure(page: Page, name: str) -> str:
    """Return the exact amount beside a name among the page's figures."""
    return page.locator(f".figures div:has(dt:text-is('{name}')) dd span").first.get_attribute("title") or ""


@pytest.fixture
def customer(settled: Settled, open_page: OpenPage, wallet: Wallet) -> Page:
    """Return the page of somebody who signed in with a wallet and deposited ten tokens."""
    page = sign_in(open_page(wallet=wallet), wallet)
    deposit(settled, page, "10")
    return page


def answer_with(value: Any) -> Callable[[Route], None]:
    """Return a handler that answers a page's request with other JSON than the gateway would."""
    return lambda route: route.fulfill(body=json.dumps(value))


def ask(page: Page, prompt: str) -> None:
    """Ask in the playground and wait for the receipt."""
    page.goto("/dashboard/playground")
    page.fill("[name=prompt]", prompt)
    page.click("[data-ask] button:text-is('Ask')")
    expect(page.locator("[data-why]")).to_be_visible()


def test_a_wallet_signs_in_deposits_by_permit_and_sets_the_cap_with_it(
    settled: Settled, open_page: OpenPage, wallet: Wallet
):
    page = sign_in(open_page(wallet=wallet), wallet)
    assert "Nothing is in escrow yet" in page.inner_text("main")
    deposit(settled, page, "12.5")
    assert figure(page, "In escrow on chain") == figure(page, "You can spend") == "12.5 DUSD"
    assert figure(page, "Most you allow per epoch") == "12.5 DUSD"
    assert wallet.asked.count("eth_sendTransaction") == 2 and "eth_signTypedData_v4" in wallet.asked
    deposit(settled, page, "1", "approve")
    assert figure(page, "In escrow on chain") == "13.5 DUSD"
    assert wallet.asked.count("eth_sendTransaction") == 5


def test_what_the_owner_declines_is_not_done_and_said_in_words(open_page: OpenPage, wallet: Wallet):
    page = open_page(wallet=wallet)
    wallet.refuse = {"personal_sign"}
    page.goto("/dashboard/sign-in")
    page.click("text=Sign in with your wallet")
    expect(page.locator("[data-words]")).to_have_text("You declined in your wallet. Nothing was sent.")
    wallet.refuse = {"eth_sendTransaction"}
    sign_in(page, wallet)
    page.fill("[data-deposit] [name=amount]", "1")
    page.click("[data-deposit] button")
    expect(page.locator("[data-steps] .bad")).to_have_text("You declined in your wallet. Nothing was sent.")
    for amount, words in (("5000", "The wallet holds 1000 DUSD"), ("1.0000001", "6 decimals"), ("ten", "as a number")):
        page.fill("[data-deposit] [name=amount]", amount)
        page.click("[data-deposit] button")
        expect(page.locator("[data-steps] .bad")).to_contain_text(words)


def test_no_wallet_and_another_account_are_said_in_words(settled: Settled, open_page: OpenPage, wallet: Wallet):
    page = open_page()
    page.goto("/dashboard/sign-in")
    page.click("text=Sign in with your wallet")
    expect(page.locator("[data-words]")).to_contain_text("No wallet was found in this browser")
    page = open_page(wallet=wallet)
    enter(page)
    page.select_option("[data-wallets]", label="Scripted wallet")
    page.fill("[data-deposit] [name=amount]", "1")
    page.click("[data-deposit] button")
    expect(page.locator("[data-steps] .bad")).to_contain_text("Choose the same account in both")


def test_a_devnet_account_has_a_wallet_at_once(settled: Settled, open_page: OpenPage):
    settled.give_pay(settled.newcomer.address, 20)
    page = enter(open_page(), 13)
    deposit(settled, page, "3")
    assert figure(page, "In escrow on chain") == "3 DUSD"


def test_an_answer_streams_with_its_times_price_provider_and_reason(settled: Settled, customer: Page):
    ask(customer, "one two three")
    assert customer.inner_text("[data-answer]").startswith("word0 ")
    assert customer.inner_text("[data-ttft]").endswith(" ms") and float(customer.inner_text("[data-price]")) > 0
    assert (
        customer.locator("[data-provider] a").get_attribute("href")
        == f"/dashboard/providers/{settled.live_owner.address}"
    )
    assert "the lowest expected cost among 1 that could serve" in customer.inner_text("[data-why-words]")
    cells = customer.locator("[data-candidates] td").all_inner_texts()
    assert len(cells) == 10
    total, parts = float(cells[1]), [float(cell) for cell in cells[2:8]]
    assert total == pytest.approx(sum(parts), abs=0.01)
    assert "--chat" not in customer.inner_text("#as-curl") and "/v1/chat/completions" in customer.inner_text("#as-curl")
    customer.goto("/dashboard/keys")
    assert customer.locator("td:text-is('playground')").count() == 1


def test_the_python_of_the_playground_runs_as_it_stands(
    settled: Settled, customer: Page, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    customer.goto("/dashboard/keys")
    customer.fill("input[name=name]", "program")
    customer.click("text=Make a key")
    monkeypatch.setenv("BONDED_API_KEY", customer.inner_text("#secret"))
    customer.goto("/dashboard/playground")
    customer.fill("[name=prompt]", 'a "quoted" word, and a new\nline')
    exec(customer.inner_text("#as-openai"), {})
    assert capsys.readouterr().out.startswith("word0 ")


def test_a_receipt_is_verified_in_the_page_and_a_changed_one_is_found_out(customer: Page):
    ask(customer, "verify me")
    customer.click("text=receipt and signatures")
    customer.click("text=Verify in this page")
    expect(customer.locator("[data-words]")).to_have_text("Every signature holds.")
    verdicts = customer.locator("[data-verdict]").all_inner_texts()
    assert len(verdicts) == 2 and all(words.startswith("The signature holds") for words in verdicts)
    job = customer.inner_text("p.lead.mono")
    proof = customer.request.get(f"/api/receipts/{job}/proof").json()
    for where, name, verdict in (
        ("receipt", "chargeAtto", "provider-0"),
        ("receipt", "outputTokens", "provider-0"),
        ("countersignature", "ttftMs", "gateway-0"),
        ("domain", "chainId", "gateway-0"),
    ):
        changed = json.loads(json.dumps(proof))
        fields = changed["attempts"][0][where]
        fields[name] = str(int(fields[name]) + 1)
        customer.route("**/proof", answer_with(changed))
        customer.click("text=Verify in this page")
        expect(customer.locator("[data-words]")).to_have_text("Something is wrong here: see below.")
        assert customer.locator(f'[data-verdict="{verdict}"]').get_attribute("class") == "bad", name


def test_a_batch_is_uploaded_followed_and_its_answers_are_taken_away(customer: Page, tmp_path: Path):
    body = {"model": "mock-model", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    lines = [{"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body} for n in range(3)]
    file = tmp_path / "work.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    customer.goto("/dashboard/batches")
    customer.set_input_files("[name=file]", file)
    customer.click("text=Start the batch")
    expect(customer.locator("[data-list] .good")).to_have_text("completed")
    assert customer.inner_text("[data-label='Done / all']").split() == ["3", "/", "3"]
    with customer.expect_download() as taken:
        customer.click("text=answers")
    answers = [json.loads(line) for line in Path(taken.value.path()).read_text().splitlines()]
    assert sorted(answer["custom_id"] for answer in answers) == ["0", "1", "2"]
    file.write_text("this is no JSON\n")
    customer.set_input_files("[name=file]", file)
    customer.click("text=Start the batch")
    expect(customer.locator("[data-list] .bad").first).to_have_text("failed")
    assert "line 1:" in customer.inner_text("[data-list]")


def test_money_is_asked_back_and_kept_or_taken_out(settled: Settled, customer: Page):
    customer.fill("form[data-withdraw] [name=amount]", "4")
    customer.click("text=Ask for it back")
    finish(settled, customer)
    assert figure(customer, "Thawing") == "4 DUSD" and figure(customer, "You can spend") == "6 DUSD"
    assert "yours from" in customer.inner_text(".figures")
    customer.click("text=Take out what has thawed")
    expect(customer.locator("[data-steps] .bad")).to_contain_text("It is still thawing")
    customer.click("text=Leave it in escrow after all")
    finish(settled, customer)
    assert figure(customer, "You can spend") == "10 DUSD"


def test_an_answer_is_rated_once_on_its_receipt(customer: Page):
    ask(customer, "rate me")
    customer.click("text=receipt and signatures")
    address = customer.url
    customer.select_option("[name=stars]", "4")
    customer.click("text=Rate it, once")
    assert "it counts in the epoch that runs" in customer.inner_text(".notice")
    customer.goto(address)
    customer.click("text=Rate it, once")
    assert "was rated before" in customer.inner_text(".notice")
