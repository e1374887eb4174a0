"""What is proposed for servers as they are found: node exporter, Kubernetes, meshes, traces, plain HTTP; and who calls whom."""

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random

import pytest

from serving.ingest.pull.prometheus_discovery import MANY, Discovered, discover, rendered
from serving.ingest.pull.prometheus_http import PrometheusHttp
from serving.ingest.pull.prometheus_queries import NamedQuery
from serving.ingest.pull.request_retries import RetryPolicy
from tests.testing.living_prometheus import LivingPrometheus, living_prometheus

NODES = ("web-1:9100", "web-2:9100")


@pytest.fixture
def server() -> Iterator[LivingPrometheus]:
    with living_prometheus(LivingPrometheus()) as state:
        state.vectors["max(count_over_time(up[120s]))"] = [({}, 8.0)]
        state.vectors["max(count_over_time(up[600s]))"] = [({}, 40.0)]
        yield state


def look(server: LivingPrometheus, service_label: str | None = None) -> Discovered:
    http = PrometheusHttp(server.url, None, 5.0, RetryPolicy(0, lambda _: None, lambda: 1.0))
    try:
        return discover(http, service_label)
    finally:
        http.close()


def every(**values: str) -> list[Mapping[str, str]]:
    """Return the label sets of all combinations of values, which are separated by spaces."""
    names = list(values)
    return [dict(zip(names, row, strict=True)) for row in product(*(text.split() for text in values.values()))]


def by_name(discovered: Discovered) -> dict[str, NamedQuery]:
    names = [proposal.query.name for proposal in discovered.proposals]
    return dict(zip(names, (proposal.query for proposal in discovered.proposals), strict=True))


NODE_METRICS = [
    "node_cpu_seconds_total",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_disk_io_time_seconds_total",
    "node_load1",
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
    "node_disk_flush_requests_total",
]


def test_of_a_node_exporter_each_host_is_a_service(server: LivingPrometheus) -> None:
    hosts = every(instance=" ".join(NODES), job="node", mode="idle user", fstype="ext4", device="eth0")
    server.series = dict.fromkeys(NODE_METRICS, hosts) | {"up": every(job="node", instance=" ".join(NODES))}
    discovered = look(server)
    assert set(by_name(discovered)) == {
        "cpu_utilization",
        "memory_utilization",
        "disk_utilization",
        "disk_busy_ratio",
        "load_1min",
        "network_receive_bytes_per_second",
        "network_transmit_bytes_per_second",
        "targets_up_ratio",
    }
    assert discovered.services == ("node", "web-1", "web-2")
    assert (discovered.interval_s, discovered.window_s) == (15.0, 60)
    assert 'rate(node_cpu_seconds_total{mode="idle"}[60s])' in by_name(discovered)["cpu_utilization"].expression
    assert discovered.calls == ()


def test_rates_go_over_four_scrapes(server: LivingPrometheus) -> None:
    server.series = {"up": every(job="a"), "http_requests_total": every(job="a", code="200 500")}
    server.vectors["max(count_over_time(up[120s]))"] = [({}, 1.0)]
    server.vectors["max(count_over_time(up[600s]))"] = [({}, 10.0)]
    assert by_name(look(server))["requests_per_second"].expression == "sum by (job) (rate(http_requests_total[240s]))"


def test_plain_http_metrics_give_traffic_errors_and_latency(server: LivingPrometheus) -> None:
    labels = every(service="cart pay", job="shop", code="200 500", instance="a b")
    server.series = {
        "http_requests_total": labels,
        "http_request_duration_seconds_bucket": every(service="cart pay", job="shop", le="0.1 1 +Inf"),
    }
    queries = by_name(look(server))
    assert set(queries) == {"requests_per_second", "error_rate", "latency_p99_ms", "latency_p50_ms"}
    errors = 'sum by (service) (rate(http_requests_total{code=~"5.."}[60s]))'
    traffic = "sum by (service) (rate(http_requests_total[60s]))"
    assert queries["error_rate"].expression == f"({errors} or {traffic} * 0) / ({traffic} > 0)"
    buckets = "sum by (service, le) (rate(http_request_duration_seconds_bucket[60s]))"
    assert queries["latency_p99_ms"].expression == f"1000 * histogram_quantile(0.99, {buckets}) >= 0"


def test_a_second_family_of_the_same_service_gets_names_of_its_own_and_one_of_others_the_common_ones(
    server: LivingPrometheus,
) -> None:
    server.series = {
        "http_requests_total": every(job="cart pay", code="200"),
        "grpc_server_handled_total": every(job="cart", grpc_code="OK"),
        "api_requests_total": every(job="search", status="200"),
    }
    discovered = look(server)
    services = {(p.query.name, service) for p in discovered.proposals for service in p.services}
    assert len(services) == sum(len(p.services) for p in discovered.proposals), "no metric of a service comes from two queries"
    assert [p.query.name for p in discovered.proposals if "grpc" in p.query.expression] == [
        "requests_per_second",
        "error_rate",
    ], "what is known comes before what only looks like requests"
    traffic = {p.query.expression: p.query.name for p in discovered.proposals if p.query.expression.startswith("sum by (job)")}
    assert traffic == {
        "sum by (job) (rate(grpc_server_handled_total[60s]))": "requests_per_second",
        "sum by (job) (rate(api_requests_total[60s]))": "requests_per_second",
        "sum by (job) (rate(http_requests_total[60s]))": "http_requests_requests_per_second",
    }


def test_istio_gives_signals_and_calls_of_workloads(server: LivingPrometheus) -> None:
    calls = [
        {"source_workload": caller, "destination_workload": callee, "reporter": reporter, "response_code": "200", "job": "envoy"}
        for caller, callee in (("web", "cart"), ("cart", "pay"), ("unknown", "web"), ("pay", "pay"))
        for reporter in ("source", "destination")
    ]
    server.series = {
        "istio_requests_total": calls,
        "istio_request_duration_milliseconds_bucket": [{**labels, "le": "5"} for labels in calls],
    }
    discovered = look(server)
    queries = by_name(discovered)
    assert set(queries) == {"requests_per_second", "error_rate", "latency_p99_ms", "latency_p50_ms"}
    assert 'istio_requests_total{reporter="destination"}' in queries["requests_per_second"].expression
    assert queries["latency_p99_ms"].expression.startswith("histogram_quantile"), "its buckets are milliseconds already"
    assert [(call.caller, call.callee, call.what) for call in discovered.calls] == [
        ("cart", "pay", "Istio"),
        ("web", "cart", "Istio"),
    ]
    assert discovered.services == ("cart", "pay", "web")


def test_linkerd_gives_signals_and_calls_of_deployments(server: LivingPrometheus) -> None:
    server.series = {
        "response_total": every(deployment="web cart", direction="inbound", classification="success failure"),
        "response_latency_ms_bucket": every(deployment="web cart", direction="inbound", le="1 2"),
        "request_total": [{"deployment": "web", "dst_deployment": "cart", "direction": "outbound"}],
    }
    discovered = look(server)
    assert 'classification="failure"' in by_name(discovered)["error_rate"].expression
    assert [(call.caller, call.callee) for call in discovered.calls] == [("web", "cart")]


def test_span_metrics_give_signals_of_servers_and_calls_of_clients(server: LivingPrometheus) -> None:
    server_spans = every(service_name="cart web", span_kind="SPAN_KIND_SERVER", status_code="STATUS_CODE_UNSET", job="otel")
    client_spans = [{"service_name": "web", "span_kind": "SPAN_KIND_CLIENT", "peer_service": "cart", "job": "otel"}]
    server.series = {
        "traces_span_metrics_calls_total": [*server_spans, *client_spans],
        "traces_span_metrics_duration_milliseconds_bucket": [{**labels, "le": "5"} for labels in server_spans],
    }
    discovered = look(server)
    assert set(by_name(discovered)) == {"requests_per_second", "error_rate", "latency_p99_ms", "latency_p50_ms"}
    assert 'label_replace(rate(traces_span_metrics_calls_total{span_kind=~"SPAN_KIND_(SERVER|CONSUMER)"}[60s])' in (
        by_name(discovered)["requests_per_second"].expression
    )
    assert discovered.services == ("cart", "web")
    assert [(call.caller, call.callee) for call in discovered.calls] == [("web", "cart")]


def test_a_service_graph_gives_calls_and_the_users_themselves_are_no_service(server: LivingPrometheus) -> None:
    pairs = (("user", "web"), ("web", "cart"), ("cart", "db"))
    server.series = {"traces_service_graph_request_total": [{"client": caller, "server": callee} for caller, callee in pairs]}
    assert [(call.caller, call.callee) for call in look(server).calls] == [("cart", "db"), ("web", "cart")]


def test_kubernetes_gives_containers_and_deployments(server: LivingPrometheus) -> None:
    pods = [*every(container="cart pay", pod="a b", namespace="shop", job="cadvisor"), {"container": "", "pod": "a"}]
    server.series = {
        "container_cpu_usage_seconds_total": pods,
        "container_memory_working_set_bytes": pods,
        "kube_pod_container_status_restarts_total": every(container="cart pay", pod="a"),
        "kube_deployment_status_replicas_unavailable": every(deployment="cart", namespace="shop"),
    }
    discovered = look(server)
    assert set(by_name(discovered)) == {
        "container_cpu_cores",
        "container_memory_bytes",
        "container_restarts_per_second",
        "replicas_unavailable",
    }
    assert discovered.services == ("cart", "pay")


def test_a_label_that_is_named_comes_before_all_others(server: LivingPrometheus) -> None:
    server.series = {"http_requests_total": every(job="x", team="blue red", code="200")}
    assert look(server).services == ("x",)
    assert look(server, "team").services == ("blue", "red")


def test_what_gives_nothing_or_too_much_is_left_out_and_said(server: LivingPrometheus) -> None:
    server.series = {
        "http_requests_total": [{"job": f"j{number}"} for number in range(MANY + 1)],
        "process_cpu_seconds_total": every(job="a"),
    }
    server.vectors["sum by (job) (rate(process_cpu_seconds_total[60s]))"] = []
    discovered = look(server)
    assert discovered.proposals == ()
    assert any(f"{MANY + 1:,} series, too many to take unasked" in remark for remark in discovered.remarks)
    assert any("gives nothing now" in remark for remark in discovered.remarks)


def test_an_empty_server_has_nothing_to_propose(server: LivingPrometheus) -> None:
    discovered = look(server)
    assert (discovered.metrics, discovered.proposals, discovered.calls) == (0, (), ())


def test_the_file_of_queries_reads_back_as_the_same_queries(server: LivingPrometheus) -> None:
    server.series = {name: every(instance="a:1", mode="idle", fstype="ext4", device="eth0") for name in NODE_METRICS}
    discovered = look(server)
    lines = [line for line in rendered(discovered) if not line.startswith("#")]
    assert [NamedQuery.parse(line) for line in lines] == [proposal.query for proposal in discovered.proposals]


@pytest.mark.parametrize("seed", range(3))
def test_no_two_proposals_give_the_same_metric_of_a_service(server: LivingPrometheus, seed: int) -> None:
    random = Random(seed)
    names = ["http_requests_total", "shop_requests_total", "http_server_requests_seconds_count", "rpc_duration_seconds_bucket"]
    names += ["http_server_requests_seconds_bucket", "istio_requests_total", "grpc_server_handled_total", "db_requests_total"]
    for name in names:
        services = " ".join(random.sample(["a", "b", "c", "d"], random.randint(1, 3)))
        labels = every(job=services, code="200", destination_workload=services, reporter="destination", grpc_code="OK")
        server.series[name] = [
            {**labels_of_job, "le": "1"} if name.endswith("_bucket") else labels_of_job for labels_of_job in labels
        ]
    proposals = look(server).proposals
    pairs = [(proposal.query.name, service) for proposal in proposals for service in proposal.services]
    assert len(pairs) == len(set(pairs)) > 0
