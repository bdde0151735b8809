"""A real Chromium before the settled marketplace: a fresh profile for each test."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from contracts.signing import Signer
from tests.marketplace.browser.wallet import Wallet
from tests.marketplace.settled import Settled

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_ROOT = Path(__file__).resolve().parents[3]

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return the browser; without one the tests fail and say how to get it.

    One a file and not one a session: while it is driven, this thread has a running loop, in which no other can run.
    """
    said = subprocess.run([_ROOT / "scripts/browser"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=said.stdout.strip(), args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(settled: Settled, chromium: Browser) -> Iterator[OpenPage]:
    """Return a function that opens an empty page: `open_page(width=, dark=, scripts=, wallet=)`.

    Whatever a page complains of (a script that fails, something that its security policy stopped) fails the test.
    """
    contexts = []
    complaints: list[str] = []

    def make(width: int = 1280, dark: bool = False, scripts: bool = True, wallet: Wallet | None = None) -> Page:
        context = chromium.new_context(
            base_url=settled.url,
            viewport={"width": width, "height": 844},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None
        )
        if wallet is not None:
            wallet.install(page)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def wallet(settled: Settled) -> Wallet:
    """Return a wallet of somebody new, with gas and a thousand payment tokens."""
    signer = Signer(secrets.token_bytes(32))
    settled.devnet.rpc("anvil_setBalance", signer.address, hex(10**20))
    settled.give_pay(signer.address, 1_000)
    return Wallet(signer, settled.devnet.url)


def enter(page: Page, account: int = 14) -> Page:
    """Sign in as one of the devnet's accounts; 14 is the first customer."""
    page.goto("/dashboard/sign-in")
    page.select_option("select[name=index]", str(account))
    page.click("text=Sign in as this account")
    page.wait_for_url("**/dashboard")
    return page
