"""Tables of plans and runs in the incident store: the run log commits together with the audit log and the events."""

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from serving.incidents.store.incident_tables import METADATA

AUTOMATION_RUNS: Final = Table(
    "automation_runs",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("incident_id", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("runbook", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("began_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("plan", Text, nullable=False),
    Column("run", Text, nullable=False),
)
"""One row a plan with its run, both as JSON. `began_us` = it acted from then on, `ended_us` = it has ended."""

AUTOMATION_HOLDS: Final = Table(
    "automation_holds",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("runbook", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("document", Text, nullable=False),
)
"""Runbooks that people hold back on a service."""

AUTOMATION_SWITCH: Final = Table(
    "automation_switch",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("document", Text, nullable=False),
)
"""One row a tenant at most, none = it was never turned."""

AUTOMATION_LINKS: Final = Table(
    "automation_links",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("link_id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("used_us", BigInteger, nullable=False),
)
"""Links for approvals that were used."""
