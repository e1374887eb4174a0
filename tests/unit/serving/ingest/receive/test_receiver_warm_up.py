"""The warm-up takes every kind of value by every decoder, and leaves no kernel to the first sender."""

import subprocess
import sys

from aiops.settings.ingest_settings import IngestSettings
from serving.ingest.receive.intake_rules import IntakeRules
from serving.ingest.receive.receiver_warm_up import OTLP, warm_up
from serving.ingest.receive.receivers import ReceiverRules
from serving.ingest.receive.remote_write_endpoint import VERSION_1, VERSION_2
from serving.ingest.receive.series_identity import IdentityRules
from serving.ingest.receive.tenant_limits import LimitsByTenant
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder

COLD = """
from tests.unit.serving.ingest.receive.test_receiver_warm_up import warmed
from serving.ingest.receive import series_table
warmed()
kernels = {name: kernel for name, kernel in vars(series_table).items() if hasattr(kernel, "signatures")}
print(len(kernels) > 3, [name for name, kernel in kernels.items() if not kernel.signatures])
"""


def warmed() -> int:
    rules = ReceiverRules(IntakeRules(1), IdentityRules(), LimitsByTenant(IngestSettings()))
    decoders = {VERSION_1: RemoteWrite1Decoder(1), VERSION_2: RemoteWrite2Decoder(1), OTLP: OtlpMetricsDecoder(1)}
    return warm_up(decoders, rules)


def test_every_format_gives_points_and_histograms() -> None:
    assert warmed() == 2 * (2 + 2 + 3)


def test_no_kernel_of_the_tables_of_series_waits_for_the_first_sender() -> None:
    assert subprocess.check_output([sys.executable, "-c", COLD], text=True).strip() == "True []"
