"""The interactions of a thread are found without a look at all others of the user: every turn asks for them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the index."""
    among = sa.text("thread_id IS NOT NULL")
    op.create_index(
        "ix_interactions_thread",
        "interactions",
        ["user_id", "thread_id", "created_at"],
        sqlite_where=among,
        postgresql_where=among,
    )
