"""The server of gRPC in this process: calls beyond those that may be in progress are asked to come again."""

import asyncio
import threading
import time
from typing import Any

import grpc
import pytest
from grpc import aio

from serving.http.auth import Authenticator
from serving.ingest.producer_sequence import BatchAppended, EntryBatch
from serving.ingest.receive.otlp_endpoint import OtlpIntake
from serving.ingest.receive.otlp_grpc import METHODS, OtlpGrpcServer
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from tests.testing.deadlines import within
from tests.testing.receivers_in_process import CountingBroker, ReceiversInProcess


class HeldBroker(CountingBroker):
    """Does not answer before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def append_batch(self, batch: EntryBatch, max_backlog: int) -> BatchAppended:
        self.asked.set()
        assert self.go_on.wait(within(20))
        return super().append_batch(batch, max_backlog)


def gauge_request() -> bytes:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="depth")
    metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_double=1.0)
    return request.SerializeToString()


def test_calls_beyond_those_in_progress_are_asked_to_come_again() -> None:
    broker = HeldBroker()

    async def main() -> list[Any]:
        async with ReceiversInProcess(broker) as app:
            intake = OtlpIntake(app.receivers, {"protobuf": OtlpMetricsDecoder(5)}, {})
            server = OtlpGrpcServer(intake, Authenticator("HS256", None), 1 << 20, 1)
            port = await server.start("127.0.0.1", 0)
            try:
                async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    export: Any = channel.unary_unary(f"/{METHODS['metrics']}/Export")
                    first = asyncio.ensure_future(export(gauge_request()))
                    assert await asyncio.to_thread(broker.asked.wait, within(20))
                    with pytest.raises(aio.AioRpcError) as refused:
                        await export(gauge_request())
                    broker.go_on.set()
                    return [await first, refused.value]
            finally:
                broker.go_on.set()
                await server.stop()

    answer, refused = asyncio.run(main())
    assert answer == b""
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert {"grpc-status-details-bin", "google.rpc.retryinfo-bin"} <= {name for name, _ in refused.trailing_metadata()}
