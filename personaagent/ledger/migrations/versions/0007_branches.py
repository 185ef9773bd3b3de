"""Which interactions stand on a branch of their thread that was abandoned."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the mark; of what is there nobody knows."""
    op.add_column("interactions", sa.Column("abandoned", sa.Integer(), nullable=True))
