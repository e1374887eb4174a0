"""Alembic runs this file: apply the steps on the connection that `migrate.py` handed over. Reads no file and no environment."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
