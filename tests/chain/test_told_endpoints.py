"""What is told of an endpoint holds no key: providers of RPC put it into the path, the query or the user name."""

from __future__ import annotations

import pytest

from contracts.errors import ChainUnavailable, WrongChain


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://rpc.example/v3/SECRET", "https://rpc.example"),
        ("https://rpc.example:8443/?apikey=SECRET", "https://rpc.example:8443"),
        ("https://user:SECRET@rpc.example/", "https://rpc.example"),
        ("http://[::1]:8545/SECRET", "http://[::1]:8545"),
    ],
)
def test_a_key_in_an_endpoints_url_is_not_told(url: str, told: str) -> None:
    unavailable = ChainUnavailable(((url, f"no answer from {url}"),))
    assert "SECRET" not in str(unavailable) and str(unavailable).count(told) == 2
    assert unavailable.tried[0][0] == url
    wrong = WrongChain(url, 1, 2)
    assert "SECRET" not in str(wrong) and str(wrong).startswith(f"{told} has chain id 1")
