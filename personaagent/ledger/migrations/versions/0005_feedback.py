"""Comments and picks, wishes among the pins, challengers of the persona in force."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("interactions", sa.Column("comment", sa.Text(), nullable=True))
    op.add_column("interactions", sa.Column("rejected", sa.Text(), nullable=True))
    op.add_column("pins", sa.Column("origin", sa.Text(), nullable=False, server_default="user"))
    op.add_column("pins", sa.Column("said_in", sa.Text(), nullable=True))
    op.create_table(
        "challengers",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("sections", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("judged", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_challengers")),
    )
