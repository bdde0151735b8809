"""What customers think of their receipts, and its sums by epoch."""

from __future__ import annotations

from alembic import op

from marketplace.models import metadata, rating_days, ratings

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what is not there: the first migration makes every table that the models have."""
    metadata.create_all(op.get_bind(), tables=[ratings, rating_days])


def downgrade() -> None:
    """Drop the ratings; nothing of the ledger is in them."""
    metadata.drop_all(op.get_bind(), tables=[rating_days, ratings])
