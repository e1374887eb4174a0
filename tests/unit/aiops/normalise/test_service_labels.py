"""Which service a series is of."""

import pytest

from aiops.normalise.service_labels import UNKNOWN, ServiceName, ServiceRules, host_of

RULES = ServiceRules()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"job": "node", "app": "cart"}, ServiceName("cart", "app")),
        ({"job": "j", "service": "s", "service_name": "n"}, ServiceName("n", "service_name")),
        ({"service_name": "", "job": "cart"}, ServiceName("cart", "job")),
        ({"host": "db-1"}, ServiceName("db-1")),
        ({"instance": "db-1:9187"}, ServiceName("db-1")),
        ({}, ServiceName(UNKNOWN)),
    ],
)
def test_the_first_label_that_is_there_names_the_service(labels: dict[str, str], expected: ServiceName) -> None:
    assert RULES.of_labels("http_requests_total", labels) == expected


def test_metrics_of_a_machine_are_of_the_machine() -> None:
    assert RULES.of_labels("node_load1", {"job": "node", "instance": "web-1:9100"}) == ServiceName("web-1")
    assert RULES.of_labels("windows_cpu_time_total", {"job": "w", "instance": "web-2"}) == ServiceName("web-2")
    assert RULES.of_labels("node_load1", {"job": "node"}) == ServiceName("node", "job")
    assert ServiceRules(host_metrics=()).of_labels("node_load1", {"job": "node", "instance": "web-1:9100"}).service == "node"


def test_the_order_of_labels_can_be_chosen() -> None:
    assert ServiceRules(("team", "job")).of_labels("m", {"job": "a", "team": "b", "service": "c"}).service == "b"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"service.name": "cart"}, ServiceName("cart", "service.name")),
        ({"service.name": "cart", "service.namespace": "shop"}, ServiceName("shop/cart")),
        ({"service.name": "unknown_service:python", "k8s.deployment.name": "pay"}, ServiceName("pay", "k8s.deployment.name")),
        ({"k8s.deployment.name": "pay", "k8s.namespace.name": "shop", "k8s.pod.name": "pay-1"}, ServiceName("shop/pay")),
        ({"host.name": "web-1"}, ServiceName("web-1", "host.name")),
        ({"service.name": "unknown_service:python"}, ServiceName("unknown_service:python")),
        ({}, ServiceName(UNKNOWN)),
    ],
)
def test_a_resource_names_its_service_by_the_conventions(attributes: dict[str, str], expected: ServiceName) -> None:
    assert RULES.of_resource("queue_length", attributes) == expected


def test_a_machine_without_a_service_is_its_own() -> None:
    attributes = {"k8s.pod.name": "collector-1", "host.name": "web-1"}
    assert RULES.of_resource("system.cpu.time", attributes) == ServiceName("web-1", "host.name")
    assert RULES.of_resource("queue_length", attributes) == ServiceName("collector-1", "k8s.pod.name")


@pytest.mark.parametrize(
    ("instance", "host"),
    [("a:1", "a"), ("a", "a"), ("[fe80::1]:9100", "fe80::1"), ("fe80::1", "fe80::1"), ("http://a:1/m", "a"), (":9100", ":9100")],
)
def test_the_host_of_an_address(instance: str, host: str) -> None:
    assert host_of(instance) == host
