"""Which interactions semantic memory has read: one mark an interaction instead of a cursor that skips.

What a cursor went past may never have been read, so everything waits once more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the mark and find what has none."""
    op.add_column("interactions", sa.Column("read_at", sa.BigInteger(), nullable=True))
    unread = sa.text("read_at IS NULL")
    op.create_index(
        "ix_interactions_unread",
        "interactions",
        ["user_id", "created_at"],
        sqlite_where=unread,
        postgresql_where=unread,
    )
