"""Rejected candidates say of which alignment and epoch they are; those of before do not know."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the two columns, empty."""
    op.add_column("candidates", sa.Column("run", sa.Text(), nullable=True))
    op.add_column("candidates", sa.Column("epoch", sa.Integer(), nullable=True))
