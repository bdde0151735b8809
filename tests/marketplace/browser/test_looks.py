"""Every page as people meet it: on a desk, in a hand, by day, by night, with a screen reader, without scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.marketplace.browser.conftest import OpenPage, enter
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres, pytest.mark.browser]

AXE = Path("node_modules/axe-core/axe.min.js").read_text()
OWN = (
    "/dashboard",
    "/dashboard/playground",
    "/dashboard/keys",
    "/dashboard/batches",
    "/dashboard/usage",
    "/dashboard/receipts",
)
PUBLIC = (
    "/dashboard/sign-in",
    "/dashboard/providers",
    "/dashboard/epochs",
    "/dashboard/epochs/0",
    "/dashboard/slashes",
    "/dashboard/refunds",
)
DESK, HAND = 1280, 390


def serious(page: Page) -> list[str]:
    """Return what axe finds serious or critical: the rule, and where."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes']][:3]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", OWN + PUBLIC)
def test_no_page_has_a_serious_fault_for_people_who_see_or_move_otherwise(open_page: OpenPage, path: str):
    page = enter(open_page())
    page.goto(path)
    # colours do not depend on the width, nor places on the scheme: two looks see all four
    for width, scheme in ((DESK, "light"), (HAND, "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        assert serious(page) == [], f"at {width} px, {scheme}"


def test_axe_would_notice(open_page: OpenPage):
    page = enter(open_page())
    page.evaluate("document.querySelector('main').innerHTML = '<img src=\"/dashboard/static/icon.svg\"><input>'")
    assert [fault.split(":")[0] for fault in serious(page)] == ["image-alt", "label"]


def test_a_provider_and_a_receipt_have_no_serious_fault_and_fit_a_hand(settled: Settled, open_page: OpenPage):
    page = enter(open_page(width=HAND))
    job = page.request.get("/api/receipts").json()["receipts"][0]["job"]
    for path in (f"/dashboard/providers/{settled.market.dead}", f"/dashboard/receipts/{job}"):
        page.goto(path)
        for button in page.locator("main button").all():
            button.click()
        for width, scheme in ((HAND, "dark"), (DESK, "light")):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)
            assert serious(page) == [], f"{path} at {width} px, {scheme}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_page_is_wider_than_its_window(open_page: OpenPage):
    page = enter(open_page())
    for path in OWN + PUBLIC:
        page.goto(path)
        for width in (HAND, 768, DESK):
            page.set_viewport_size({"width": width, "height": 844})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} px wide in a window of {width}"


def test_every_page_can_be_read_without_scripts(settled: Settled, open_page: OpenPage):
    page = enter(open_page(scripts=False))
    for path in OWN + PUBLIC:
        answer = page.goto(path)
        assert answer is not None and answer.status == 200
        assert page.inner_text("h1")
    page.goto("/dashboard/keys")
    page.fill("input[name=name]", "without scripts")
    page.click("text=Make a key")
    assert page.inner_text(".notice code").startswith("sk-bonded-")
