"""What programs and pages send to the control API, as validated models."""

from __future__ import annotations

from pydantic import BaseModel, Field

from marketplace.ratings import STARS_MOST


class SignIn(BaseModel):
    """A signed EIP-4361 message."""

    message: str = Field(max_length=4096)
    signature: str = Field(max_length=4096)


class NewKey(BaseModel):
    """What a customer calls a key, the class of what is asked with it, and how much may be asked in a minute."""

    name: str = Field(min_length=1, max_length=64)
    service_class: str = "standard"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class Stars(BaseModel):
    """What a customer thinks of a receipt; without `attempt` of the last one that was served."""

    stars: int = Field(ge=1, le=STARS_MOST)
    attempt: int | None = Field(default=None, ge=0, le=255)


class PlaygroundKey(BaseModel):
    """The class of what the playground asks."""

    service_class: str = "standard"
