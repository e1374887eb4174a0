"""Addresses of Kafka clusters."""

import pytest

from aiops.errors import ConfigurationError
from aiops.settings.broker_settings import BrokerSettings
from serving.stream.kafka_url import kafka_address


def test_a_url_names_servers_topic_login_and_options() -> None:
    url = "kafka://ops:p%40ss@a:9092,b:9092/telemetry?security_protocol=SASL_SSL&sasl_mechanism=SCRAM-SHA-512"
    address = kafka_address(url)
    assert (address.servers, address.topic) == ("a:9092,b:9092", "telemetry")
    assert address.configuration({"linger.ms": 5}) == {
        "bootstrap.servers": "a:9092,b:9092",
        "client.id": "aiops",
        "log_level": 2,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "ops",
        "sasl.password": "p@ss",
        "linger.ms": 5,
    }


def test_the_topic_has_a_default() -> None:
    assert kafka_address("kafka://a:9092").topic == "aiops.telemetry"


@pytest.mark.parametrize(
    ("url", "word"),
    [("kafka://", "without a host"), ("kafka://u:p@", "without a host"), ("kafka://a?enable_idempotence=false", "relies")],
)
def test_what_cannot_be_used_is_refused_without_showing_the_password(url: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as refused:
        kafka_address(url)
    assert "u:p" not in str(refused.value)


def test_state_lies_on_the_embedded_server_or_on_an_own_one() -> None:
    assert BrokerSettings(url="kafka://a:9092").own_url is None
    assert BrokerSettings(url="kafka://a:9092", state_url="redis://s:1/0").own_url == "redis://s:1/0"
    assert BrokerSettings(url="redis://s:1/0").kafka_url is None
    with pytest.raises(ValueError, match="leave it out"):
        BrokerSettings(url="redis://s:1/0", state_url="redis://t:1/0")
