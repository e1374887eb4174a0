"""Ports of a run of its own lie where the system gives none to connections, and are not chosen twice."""

import socket

from orchestration.suite.free_ports import free_ports


def test_ports_are_distinct_free_and_not_those_that_connections_get() -> None:
    with socket.socket() as chosen_by_the_system:
        chosen_by_the_system.bind(("127.0.0.1", 0))
        handed_out = int(chosen_by_the_system.getsockname()[1])
    ports = [*free_ports(20), *free_ports(20)]
    assert len(set(ports)) == 40
    assert max(ports) < handed_out or handed_out < 32_768
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_a_port_that_somebody_listens_on_is_passed_over() -> None:
    (first,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 1))
        taken.listen()
        assert first + 1 not in free_ports(3)
