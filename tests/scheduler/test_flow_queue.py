"""Inside a band tenants take turns by attained service, and inside a tenant the earliest deadline goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.flow.queue import TENANTS_MOST, Queue, Waiting

HALF_LIFE_MS = 60_000.0


def anybody(job: Waiting) -> bool:
    return True


def make(number: int, tenant: str = "a", due_ms: float = 0.0, kind: str = "chat", tokens: float = 1.0) -> Waiting:
    return Waiting(number, "m", 1, tenant, tenant, kind, (1, 1), tokens, 0.0, 0.0, due_ms or float(number))


def make_queue(*jobs: Waiting, oldest_every: int = 10**9) -> Queue:
    queue = Queue(HALF_LIFE_MS, oldest_every)
    for job in jobs:
        queue.put(job)
    return queue


def take(queue: Queue, charge: float | None = None, now_ms: float = 0.0) -> Waiting:
    job = queue.first(anybody)
    assert job is not None
    queue.count_turn()
    queue.remove(job)
    queue.charge(job.tenant, job.tokens if charge is None else charge, now_ms)
    return job


def test_the_tenant_that_attained_least_goes_first() -> None:
    queue = make_queue(make(1, "a"), make(2, "b"))
    queue.charge("a", 10.0, 0.0)
    assert take(queue).tenant == "b"


def test_tenants_that_attained_the_same_go_by_arrival() -> None:
    queue = make_queue(make(1, "b"), make(2, "a"))
    assert [take(queue).tenant, take(queue).tenant] == ["b", "a"]


def test_the_earliest_deadline_of_a_tenant_goes_first() -> None:
    queue = make_queue(make(1, due_ms=300.0), make(2, due_ms=100.0), make(3, due_ms=200.0))
    assert [take(queue).number for _ in range(3)] == [2, 3, 1]


def test_service_fades_with_its_half_life() -> None:
    queue = make_queue()
    queue.charge("a", 100.0, 0.0)
    queue.charge("b", 60.0, HALF_LIFE_MS)
    assert round(queue.attained("a", HALF_LIFE_MS)) == 50
    queue.put(make(1, "b"))
    queue.put(make(2, "a"))
    assert take(queue).tenant == "a", "half of 100 is less than 60"


def test_service_that_was_not_delivered_is_taken_back_and_never_below_nothing() -> None:
    queue = make_queue(make(1, "a"), make(2, "b"))
    queue.charge("a", 100.0, 0.0)
    queue.charge("b", 50.0, 0.0)
    queue.charge("a", -80.0, 0.0)
    assert queue.first(anybody).tenant == "a"  # type: ignore[union-attr]
    queue.charge("a", -80.0, 0.0)
    assert queue.attained("a", 0.0) == 0.0


def test_counts_stay_right_over_years_and_who_is_forgotten_had_faded() -> None:
    queue = make_queue()
    for day in range(1_000):
        queue.charge(f"t{day % 7}", 1_000.0, day * 86_400_000.0)
        assert queue.attained(f"t{day % 7}", day * 86_400_000.0) < 1_001.0
    assert len(queue._tenants) == 1, "a day is 1,440 half-lives"


def test_tenants_without_work_are_bounded() -> None:
    queue = make_queue(make(1, "waits"))
    for number in range(3 * TENANTS_MOST):
        queue.charge(f"t{number}", 1.0, 0.0)
    assert len(queue._tenants) <= TENANTS_MOST
    assert take(queue).tenant == "waits"


def test_tenants_of_different_sizes_of_job_attain_the_same() -> None:
    queue = make_queue()
    sizes = {"a": 10.0, "b": 100.0, "c": 1_000.0}
    number = 0
    attained = dict.fromkeys(sizes, 0.0)
    for _ in range(2_000):
        for tenant, tokens in sizes.items():
            while len(queue) < 30 and sum(job.tenant == tenant for job in queue) < 5:
                number += 1
                queue.put(make(number, tenant, tokens=tokens))
        job = take(queue)
        attained[job.tenant] += job.tokens
        assert max(attained.values()) - min(attained.values()) <= max(sizes.values())


def test_one_who_sends_much_delays_one_who_sends_little_by_one_job() -> None:
    queue = make_queue(*(make(number, "much") for number in range(1, 101)))
    take(queue)
    queue.put(make(101, "little"))
    assert take(queue).tenant == "little"


@given(st.integers(0, 20), st.integers(2, 10))
def test_nobody_starves_though_new_tenants_come_for_ever(older: int, oldest_every: int) -> None:
    queue = make_queue(oldest_every=oldest_every)
    for number in range(older):
        queue.put(make(number + 1, f"older{number}"))
    mine = make(older + 1, "mine")
    queue.put(mine)
    for name in [f"older{number}" for number in range(older)] + ["mine"]:
        queue.charge(name, 1e9, 0.0)
    turns = 0
    while True:
        queue.put(make(1_000 + turns, f"new{turns}"))
        turns += 1
        if take(queue) is mine:
            break
        assert turns < 10_000
    assert turns <= (older + 1) * oldest_every


def test_who_does_not_fit_is_passed_over_and_keeps_its_turn() -> None:
    queue = make_queue(make(1, "a", kind="vision"), make(2, "a"), make(3, "b"))
    job = queue.first(lambda job: job.kind == "chat")
    assert job is not None and job.number == 2
    queue.remove(job)
    assert queue.first(anybody).number == 1  # type: ignore[union-attr]
    assert queue.kinds == {"vision": 1, "chat": 1}


def test_ahead_counts_what_goes_before_one_more_when_tenants_take_turns() -> None:
    queue = make_queue(*(make(n, "a") for n in range(1, 6)), make(6, "b"), make(7, "b"))
    assert queue.ahead("new") == 2, "one of a, one of b"
    assert queue.ahead("b") == 3 + 2, "its third is after three of a and its own two"
    assert queue.ahead("a") == 5 + 2


steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "take", "leave", "charge"]), st.sampled_from("abcd"), st.integers(0, 50)),
    max_size=80,
)


@given(steps)
def test_it_is_a_sorted_list_by_any_order_of_acts(steps: list[tuple[str, str, int]]) -> None:
    """The mirror keeps plain lists and dicts and sorts them each time."""
    queue = make_queue()
    waiting: list[Waiting] = []
    attained = dict.fromkeys("abcd", 0.0)
    arrived: dict[str, int] = {}
    for number, (act, tenant, amount) in enumerate(steps, 1):
        arrived.setdefault(tenant, number) if act in ("put", "charge") else None
        if act == "put":
            waiting.append(make(number, tenant, due_ms=float(amount + 1)))
            queue.put(waiting[-1])
        elif act == "take" and waiting:
            best = min(waiting, key=lambda job: (attained[job.tenant], arrived[job.tenant], job.due_ms, job.number))
            assert take(queue, amount) is best
            waiting.remove(best)
            attained[best.tenant] += amount
        elif act == "leave" and waiting:
            queue.remove(waiting.pop(amount % len(waiting)))
        elif act == "charge":
            queue.charge(tenant, amount, 0.0)
            attained[tenant] += amount
        assert [job.number for job in queue] == sorted(job.number for job in waiting)
        for name in "abcd":
            own = sum(job.tenant == name for job in waiting)
            others = (sum(job.tenant == other for job in waiting) for other in "abcd" if other != name)
            assert queue.ahead(name) == own + sum(min(count, own + 1) for count in others)
