"""Write a commented provider file to start from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beginning:
    """What `bonded provider init` was told; everything else is a default with its reason beside it."""

    owner: str
    endpoint: str
    listen: str
    region: str
    hardware_class: str
    units: int
    engine: str
    base_url: str
    threads: int
    model: str
    weights: str
    context_length: int
    slots: int
    price_in: str
    price_out: str


_LLAMACPP = """\
[engine]
# llama.cpp inside the agent's own process. For any other OpenAI-compatible server: kind = "openai" with base_url.
kind = "llamacpp"
# Threads for computing; leave a core for the agent itself.
threads = {threads}
"""

_OPENAI = """\
[engine]
# Any OpenAI-compatible server: vLLM, SGLang, Ollama, TGI, llama.cpp.
kind = "openai"
base_url = "{base_url}"
# A file that holds the server's key, if it wants one (or set BONDED_ENGINE_KEY).
# api_key_file = "keys/engine.txt"
"""

_FILE = """\
# What this provider is and sells. After a change of [provider] or [[models]]: bonded provider update.

[provider]
# The owner's address: it holds the stake and earns. Its key is not needed for serving.
owner = "{owner}"
# How gateways reach the agent from outside; registered on chain.
endpoint = "{endpoint}"
# Where the agent listens on this machine.
listen = "{listen}"
region = "{region}"
# CPU, T4, A10, RTX4090, A100 or H100, and how many of them: they decide the required stake.
hardware_class = "{hardware_class}"
units = {units}
# Receipts and used tickets live here: losing it loses unpaid work.
state_folder = "state"
# On SIGTERM running answers get this long to finish, in seconds.
drain_s = 60

[keys]
owner = "keys/owner.json"
signer = "keys/signer.json"
# Files with the passwords, readable by you alone; without them BONDED_PASSWORD is used, or you are asked.
# owner_password_file = "keys/owner.password"
# signer_password_file = "keys/signer.password"

[chain]
# The deployment file and the RPC endpoints; BONDED_DEPLOYMENT and BONDED_RPC_URLS win over these.
# deployment = "deployment.json"
# rpc_urls = ["http://127.0.0.1:8545"]

{engine}
[[models]]
id = "{model}"
# What the engine calls it, where that differs.
# engine_model = "{model}"
# The weights file, or package:<name> for the one inside an installed package. Its SHA-256 is the digest customers
# pay for.
{weights}
context_length = {context_length}
# How many requests run at once.
slots = {slots}
# "continue": the engine goes on behind the beginning of an answer that broke off elsewhere. llama.cpp, vLLM and SGLang
# can; `bonded provider doctor` tries it.
features = {features}
# Prices of a million tokens in the payment currency, in quotes so that they are read exactly.
price_in_per_million = "{price_in}"
price_out_per_million = "{price_out}"
# A prompt the engine had in its cache costs this much instead; left out, it costs the same.
# price_cached_per_million = "{price_in}"
"""


def provider_file(beginning: Beginning) -> str:
    """Return the text of a provider file; `read_provider_file` reads it without mistakes."""
    template = _LLAMACPP if beginning.engine == "llamacpp" else _OPENAI
    engine = template.format(threads=beginning.threads, base_url=beginning.base_url)
    if beginning.weights.startswith("0x"):
        weights = f'weights_digest = "{beginning.weights}"'
    else:
        weights = f'weights = "{beginning.weights}"'
    features = '["chat", "completions", "continue"]' if template is _LLAMACPP else '["chat", "completions"]'
    fields = {name: getattr(beginning, name) for name in Beginning.__slots__}
    fields |= {"engine": engine, "weights": weights, "features": features}
    return _FILE.format(**fields)
