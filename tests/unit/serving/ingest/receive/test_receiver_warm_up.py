"""The warm-up takes every kind of value by every decoder."""

from aiops.settings.ingest_settings import IngestSettings
from serving.ingest.receive.intake_rules import IntakeRules
from serving.ingest.receive.receiver_warm_up import OTLP, warm_up
from serving.ingest.receive.receivers import ReceiverRules
from serving.ingest.receive.remote_write_endpoint import VERSION_1, VERSION_2
from serving.ingest.receive.series_identity import IdentityRules
from serving.ingest.receive.tenant_limits import LimitsByTenant
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder


def test_every_format_gives_points_and_histograms() -> None:
    rules = ReceiverRules(IntakeRules(1), IdentityRules(), LimitsByTenant(IngestSettings()))
    decoders = {VERSION_1: RemoteWrite1Decoder(1), VERSION_2: RemoteWrite2Decoder(1), OTLP: OtlpMetricsDecoder(1)}
    assert warm_up(decoders, rules) == 2 * (2 + 2 + 3)
