"""Under which names this gateway may be signed in to.

A sign-in message names the site it was made for. Whoever lures a customer to another site could pass on both that
message and a `Host` header that fits it, so the header alone proves nothing: it must be a name of ours.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from marketplace.api.sessions import SignInRefused
from marketplace.settings import GatewaySettings

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Hosts:
    """The names of one gateway: that of its public URL; without one, its listening address and the loopback."""

    def __init__(self, settings: GatewaySettings) -> None:
        public = urlsplit(settings.public_url)
        self.public = public.netloc.lower()
        self.secure = public.scheme == "https"
        self._listen = settings.listen.lower()

    def check(self, host: str) -> str:
        """Return the host a message must name; raises SignInRefused for one that is not ours."""
        host = host.lower()
        name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
        ours = host == self.public if self.public else host == self._listen or name in _LOOPBACK
        if not ours:
            raise SignInRefused(
                f"this gateway is not known as {host or 'nothing'}: open it at {self.public or self._listen}, or its "
                "operator sets BONDED_PUBLIC_URL"
            )
        return host
