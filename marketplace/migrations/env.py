"""Alembic's environment: runs on a connection given by `marketplace.db`."""

from alembic import context

from marketplace.models import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
