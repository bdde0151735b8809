"""declareMaintenance, cancelMaintenance, maintenance: when a provider says it will be away."""

from tests.contracts.support.refusals import refused

DAY = 24 * 3600
LATEST = 2**64 - 1


def declare(market, start_in, seconds, who=None):
    """Declare a window that begins some seconds after the next block; checks event and view; returns (start, end)."""
    who = who or market.small
    begins = market.now() + 1 + start_in
    market.next_block_at(market.now() + 1)
    count = market.staking.maintenanceCount(who)
    tx = market.staking.declareMaintenance(begins, begins + seconds, {"from": who})
    assert tx.return_value == count and market.staking.maintenanceCount(who) == count + 1
    event = tx.events["MaintenanceDeclared"]
    assert (event["provider"], event["index"]) == (who, count)
    assert (event["startsAt"], event["endsAt"]) == (begins, begins + seconds)
    assert market.staking.maintenance(who, begins, begins + 1) == [(begins, begins + seconds)]
    return begins, begins + seconds


def refusal(market, starts_at, ends_at, who=None):
    return refused(market.staking.declareMaintenance, starts_at, ends_at, sender=who or market.small)


def test_refuses_who_is_no_provider(market):
    unknown = ("NotRegistered", market.fresh.address.lower())
    assert refusal(market, LATEST - 1, LATEST, market.fresh) == unknown
    assert refused(market.staking.cancelMaintenance, 0, sender=market.fresh) == unknown


def test_refuses_what_begins_too_soon_and_takes_what_begins_at_the_end_of_the_notice(market):
    now = market.now()
    name, starts_at, earliest = refusal(market, now + 9, now + 20)
    assert (name, starts_at) == ("NoticeTooShort", now + 9) and earliest > now + 9
    declare(market, market.staking.noticeSeconds(), 1)


def test_refuses_what_ends_before_it_has_begun(market):
    soon = market.now() + 100
    assert refusal(market, soon, soon) == ("OutOfBounds", "endsAt", soon, soon + 1, LATEST)
    assert refusal(market, soon, soon - 1) == ("OutOfBounds", "endsAt", soon - 1, soon + 1, LATEST)
    assert refusal(market, LATEST, LATEST) == ("OutOfBounds", "endsAt", LATEST, LATEST + 1, LATEST)


def test_refuses_what_overlaps_the_window_before(market):
    start, end = declare(market, 50, 100)
    assert refusal(market, end - 1, end + 1) == ("MaintenanceOverlaps", end - 1, end)
    assert refusal(market, start - 20, start - 10) == ("MaintenanceOverlaps", start - 20, end)
    market.staking.declareMaintenance(end, end + 1, {"from": market.small})


def test_refuses_more_than_the_allowance(market):
    soon = market.now() + 100
    assert refusal(market, soon, soon + 601) == ("MaintenanceAboveAllowance", 601, 600)
    assert refusal(market, soon, LATEST) == ("MaintenanceAboveAllowance", 30 * DAY, 600)
    _, end = declare(market, 100, 400)
    assert refusal(market, end + 10, end + 211) == ("MaintenanceAboveAllowance", 601, 600)
    market.staking.declareMaintenance(end + 10, end + 210, {"from": market.small})


def test_no_thirty_days_hold_more_than_the_allowance(market):
    start, end = declare(market, 100, 600)
    # a second of the old window leaves the thirty days for each second of the new one
    assert refusal(market, start + 30 * DAY - 1, start + 30 * DAY + 1)[0] == "MaintenanceAboveAllowance"
    market.staking.declareMaintenance(start + 30 * DAY, start + 30 * DAY + 600, {"from": market.small})
    assert refusal(market, end + 30 * DAY, end + 30 * DAY + 1) == ("MaintenanceAboveAllowance", 601, 600)


def test_refuses_a_thirty_third_window_within_thirty_days(market):
    first, last = declare(market, 1000, 1)
    for _ in range(31):
        market.staking.declareMaintenance(last, last + 1, {"from": market.small})
        last += 1
    found = refusal(market, last, last + 1)
    assert found == ("OutOfBounds", "windows in 30 days", 33, 1, 32)
    assert len(market.staking.maintenance(market.small, 0, LATEST)) == 32
    later = first + 30 * DAY
    market.staking.declareMaintenance(later, later + 1, {"from": market.small})


def test_refuses_what_begins_more_than_ninety_days_ahead(market):
    late = market.now() + 90 * DAY + 1000
    name, what, starts_at, _, latest = refusal(market, late, late + 1)
    assert (name, what, starts_at) == ("OutOfBounds", "startsAt", late) and latest < late
    declare(market, 90 * DAY - 10, 1)


def test_cancels_the_last_window_until_it_begins(market):
    first = declare(market, 100, 50)
    second = declare(market, 200, 50)
    for wrong in (0, 2, 2**256 - 1):
        assert refused(market.staking.cancelMaintenance, wrong, sender=market.small) == ("UnknownMaintenance", wrong)
    tx = market.staking.cancelMaintenance(1, {"from": market.small})
    assert tx.events["MaintenanceCancelled"] == {"provider": market.small, "index": 1}
    assert market.staking.maintenanceCount(market.small) == 1
    assert market.staking.maintenance(market.small, 0, LATEST) == [first]
    market.wait_until(first[0] - 1)
    market.staking.cancelMaintenance.call(0, {"from": market.small})
    market.wait_until(first[0])
    name, starts_at, _ = refused(market.staking.cancelMaintenance, 0, sender=market.small)
    assert (name, starts_at) == ("MaintenanceBegun", first[0])
    assert second[0] > first[1]


def test_a_cancelled_window_gives_its_allowance_back(market):
    declare(market, 100, 600)
    market.staking.cancelMaintenance(0, {"from": market.small})
    assert refused(market.staking.cancelMaintenance, 0, sender=market.small) == ("UnknownMaintenance", 0)
    declare(market, 50, 600)


def test_shows_the_windows_that_overlap_a_span_oldest_first(market):
    a = declare(market, 100, 50)
    b = declare(market, 200, 50)
    c = declare(market, 300, 50)

    def shown(start, end):
        return list(market.staking.maintenance(market.small, start, end))

    assert shown(0, LATEST) == [a, b, c]
    assert shown(a[1], b[0]) == [] and shown(a[1] - 1, b[0] + 1) == [a, b]
    assert shown(b[0] + 1, b[0] + 2) == [b]
    assert shown(c[1], LATEST) == [] and shown(0, a[0]) == []
    assert market.staking.maintenance(market.large, 0, LATEST) == []
    assert market.staking.maintenanceCount(market.large) == 0


def test_works_while_paused(market):
    market.pause()
    declare(market, 50, 100)
    market.staking.cancelMaintenance(0, {"from": market.small})
