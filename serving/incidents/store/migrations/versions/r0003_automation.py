"""Plans and runs: the run log, what people hold back, the switch, links that were used."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger
_TEXT = sa.Text


def upgrade() -> None:
    """Make the tables."""
    names = ("run_id", "incident_id", "fingerprint", "runbook", "service", "state")
    numbers = [sa.Column(name, _BIG, nullable=False) for name in ("revision", "made_us", "changed_us")]
    times = [sa.Column(name, _BIG) for name in ("began_us", "ended_us")]
    _made("automation_runs", ("run_id",), [*_texts(*names), *numbers, *times, *_texts("plan", "run")])
    op.create_index("automation_runs_by_time", "automation_runs", ["tenant", "made_us", "run_id"])
    op.create_index("automation_runs_by_end", "automation_runs", ["tenant", "ended_us", "began_us"])
    op.create_index("automation_runs_by_incident", "automation_runs", ["tenant", "incident_id"])
    _made("automation_holds", ("runbook", "service"), _texts("runbook", "service", "document"))
    _made("automation_switch", (), _texts("document"))
    used = sa.Column("used_us", _BIG, nullable=False)
    _made("automation_links", ("link_id",), [*_texts("link_id", "run_id"), used])


def _made(name: str, key: Sequence[str], columns: Sequence[sa.Column[Any]]) -> None:
    named = sa.PrimaryKeyConstraint("tenant", *key, name=f"{name}_of_tenant")
    op.create_table(name, sa.Column("tenant", _TEXT, nullable=False), *columns, named)


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _TEXT, nullable=False) for name in names]
