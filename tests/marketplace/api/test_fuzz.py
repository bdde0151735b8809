"""Whatever is asked of the control API and the pages, none answers with a failure of its own."""

from __future__ import annotations

import httpx2
import pytest

from contracts.signing import Signer
from tests.marketplace.api.fuzz import drawer_for, run
from tests.marketplace.api.visitor import Visitor
from tests.marketplace.settled import Settled

BUSYBODY = Signer(b"\x66" * 32)
"""An account of this file alone: it makes keys and whatever else the schema names."""

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_the_schema_allows_and_what_it_does_not_is_answered_or_refused(
    settled: Settled, visitor: Visitor, seed: int
):
    drawer = drawer_for(visitor, BUSYBODY, seed)
    assert len(drawer.operations) > 25
    with httpx2.Client(base_url=settled.url, trust_env=False, timeout=60) as client:
        seen, faults = run(client, drawer, 500)
    assert faults == []
    assert {200, 401, 404, 422} <= set(seen), "it went nowhere"
