"""What a key may ask in a minute."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns where they are not there: the first migration makes every table as the models have it."""
    for name in ("requests_per_minute", "tokens_per_minute"):
        op.execute(f"ALTER TABLE api_keys ADD COLUMN IF NOT EXISTS {name} BIGINT NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Drop the limits: every key is unlimited again."""
    for name in ("requests_per_minute", "tokens_per_minute"):
        op.execute(f"ALTER TABLE api_keys DROP COLUMN {name}")
