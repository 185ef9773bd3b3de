"""Turns that wait for their user's decision, for whichever process is asked to go on."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "waiting",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "turn_id", name=op.f("pk_waiting")),
    )
    op.create_index(op.f("ix_waiting_since"), "waiting", ["since"])
