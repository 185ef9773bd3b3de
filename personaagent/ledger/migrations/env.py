"""Alembic's entry: it runs on the connection, and inside the transaction, that ``ledger.migrate`` hands over."""

from alembic import context

from personaagent.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
