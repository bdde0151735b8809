"""Tell whether a page of another site sent a request.

A browser says so itself, in headers that no script can set. The session's cookie is `SameSite=Strict` besides; this
also holds against pages of a neighbouring host under the same registered domain, for which that does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_OTHERS = (b"cross-site", b"same-site")


def from_elsewhere(headers: Mapping[bytes, bytes], public: str = "") -> bool:
    """Say whether the sender is a page that we did not serve; a program, which names no origin, is none.

    `public`: the host of the gateway's public URL, "" without one.
    """
    if headers.get(b"sec-fetch-site") in _OTHERS:
        return True
    origin = headers.get(b"origin")
    if origin is None:
        return False
    ours = {headers.get(b"host", b"").decode("latin-1").lower(), public}
    return urlsplit(origin.decode("latin-1")).netloc.lower() not in ours - {""}
