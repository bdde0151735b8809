"""Start what is measured: mock engines, our gateway before them, and the peers before the same."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from scripts.bench.relay.processes import ROOT, Leavings, Missing, Processes, System

HERE = Path(__file__).resolve().parent
BENCH = ROOT / ".venv-bench"
PINNED = ROOT / "requirements/bench.txt"
KEY = "sk-bench"


def make_environment() -> None:
    """Make .venv-bench unless it stands for these requirements."""
    stamp = BENCH / ".stamp"
    if stamp.exists() and stamp.read_text() == PINNED.read_text():
        return
    uv = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")
    print("making .venv-bench (LiteLLM, sglang-router, vllm-router)", file=sys.stderr)
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(BENCH)], check=True)
    python = str(BENCH / "bin/python")
    install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(PINNED)]
    subprocess.run(install, check=True)
    stamp.write_text(PINNED.read_text())


def versions() -> dict[str, str]:
    """Return what is measured; the peers only if their environment stands."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    named = {"bonded": commit.stdout.strip() or "unknown"}
    nginx = _nginx()
    if nginx:
        said = subprocess.run([nginx, "-v"], check=True, capture_output=True, text=True).stderr
        named["nginx"] = said.strip().rpartition("/")[2]
    if not (BENCH / ".stamp").exists():
        return named
    peers = ("litellm", "sglang-router", "vllm-router")
    script = f"import importlib.metadata as m;print(*map(m.version, {peers}))"
    found = subprocess.run([str(BENCH / "bin/python"), "-c", script], check=True, capture_output=True, text=True)
    return named | dict(zip(peers, found.stdout.split(), strict=True))


def start_engine(
    processes: Processes, kind: str, words: int, gap_s: float, core: int, count: int = 1
) -> tuple[list[int], Leavings]:
    """Start mock engines; returns their ports, and what tells when callers left them."""
    name = f"engine-{kind}"
    command = [sys.executable, str(HERE / "engine.py"), "0", kind, str(words), str(gap_s), str(count)]
    process = processes.start(name, command, core)
    ports = [int(port) for port in processes.words(name, process)]
    return ports, Leavings(process)


def start_ours(processes: Processes, engines: list[int], core: int) -> System:
    """Start our gateway before engines that sign receipts."""
    folder = processes.folder / "ours"
    folder.mkdir()
    folder.chmod(0o755)
    command = [sys.executable, str(HERE / "ours.py"), "0", json.dumps(engines), str(folder)]
    process = processes.start("ours", command, core)
    port, key, postmaster = processes.words("ours", process)
    processes.keep_database(int(postmaster))
    _wait_for(int(port), "/v1/models")
    return System("bonded", int(port), key, [process.pid], [int(postmaster)])


def start_router(processes: Processes, engines: list[int], kind: str, policy: str, core: int) -> System:
    """Start sglang-router or vllm-router (`kind` is sglang or vllm) before engines."""
    port = _free_port()
    command = [str(BENCH / "bin/python"), "-m", f"{kind}_router.launch_router", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--prometheus-port", str(_free_port()), "--log-level", "error"]
    command += ["--policy", policy, "--worker-urls", *(f"http://127.0.0.1:{engine}" for engine in engines)]
    process = processes.start(f"{kind}-{policy}", command, core)
    _wait_for(port, "/health")
    return System(f"{kind}-router {policy}", port, KEY, [process.pid])


def start_nginx(processes: Processes, engines: list[int], core: int) -> System:
    """Start nginx before engines: one worker, kept connections, nothing buffered; raises Missing."""
    program = _nginx()
    if not program:
        raise Missing("nginx is not installed (Debian and Ubuntu: apt-get install nginx-light)")
    port, folder = _free_port(), processes.folder / "nginx"
    folder.mkdir()
    folder.chmod(0o777)  # its worker has a user of its own
    servers = " ".join(f"server 127.0.0.1:{engine};" for engine in engines)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error;"
        "events { worker_connections 4096; }"
        f"http {{ access_log off; {temporary} upstream engines {{ {servers} keepalive 512; }}"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000000; client_body_buffer_size 64k;"
        'location / { proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection "";'
        "proxy_buffering off; } } }\n"
    )
    process = processes.start("nginx", [program, "-e", "stderr", "-p", str(folder), "-c", str(config)], core)
    _wait_for(port, "/health")
    return System("nginx", port, KEY, [process.pid])


def start_litellm(processes: Processes, engines: list[int], core: int) -> System:
    """Start LiteLLM's proxy before engines: one worker, no database."""
    port = _free_port()
    config = processes.folder / "litellm.yaml"
    deployments = [
        {
            "model_name": "mock-model",
            "litellm_params": {
                "model": "openai/mock-model",
                "api_base": f"http://127.0.0.1:{engine}/v1",
                "api_key": "x",
            },
        }
        for engine in engines
    ]
    settings = {
        "model_list": deployments,
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": KEY},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    command = [str(BENCH / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    process = processes.start("litellm", [*command, "--num_workers", "1", "--telemetry", "False"], core, env)
    _wait_for(port, "/health/liveliness")
    return System("LiteLLM", port, KEY, [process.pid])


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int, path: str, seconds: float = 120.0) -> None:
    """Wait until something answers at a port, with whatever status."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                return
        except OSError as error:
            if getattr(error, "code", None) is not None:
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
