"""Files of customers, batches, and the queue of their lines."""

from __future__ import annotations

from alembic import op

from marketplace.models import batch_lines, batches, file_chunks, files, metadata

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create what is not there: the first migration makes every table that the models have."""
    metadata.create_all(op.get_bind(), tables=[files, file_chunks, batches, batch_lines])


def downgrade() -> None:
    """Drop files and batches; nothing of the ledger is in them."""
    metadata.drop_all(op.get_bind(), tables=[batch_lines, batches, file_chunks, files])
