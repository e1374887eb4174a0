"""The run log in memory, held against the suite of run logs."""

import pytest

from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from tests.conformance.run_ledger_suite import SHOP, Make, RunLedgerSuite


class TestMemoryLedger(RunLedgerSuite):
    @pytest.fixture
    def make(self) -> Make:
        def made(limits: SuiteLimits) -> MemoryRunLedger:
            return MemoryRunLedger(limits, lambda services: SHOP if SHOP.intersection(services) else frozenset())

        return made
