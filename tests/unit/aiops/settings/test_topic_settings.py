"""Topics in the settings: what is missing or unknown is named with topic, field, value and rule."""

import pytest
from pydantic import ValidationError

from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.topic_settings import EXAMPLE, topics_of


def test_a_topic_has_what_is_usual_unless_it_says_otherwise() -> None:
    (topic,) = topics_of(EXAMPLE)
    assert (topic.signal, topic.tenant, topic.start) == ("metrics", "default", "earliest")
    (logs,) = topics_of('[{"topic": "l", "encoding": "otlp_json", "signal": "logs", "tenant": "acme", "start": "latest"}]')
    assert (logs.signal, logs.tenant, logs.start) == ("logs", "acme", "latest")
    assert topics_of("[]") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["is not JSON", EXAMPLE]),
        ('{"topic": "a"}', ["no JSON list of objects", EXAMPLE]),
        ('[{"topic": "a"}]', ["a: encoding = 'missing'"]),
        ('[{"topic": "a", "encoding": "jaeger"}]', ["a: encoding = 'jaeger'", "'otlp_proto', 'otlp_json'"]),
        ('[{"topic": "a b", "encoding": "otlp_proto"}]', ["a b: topic = 'a b'", "pattern"]),
        ('[{"topic": "a", "encoding": "otlp_proto", "tenant": "A B"}]', ["a: tenant = 'A B'"]),
        ('[{"topic": "a", "encoding": "otlp_proto", "tenent": "b"}]', ["a: tenent = 'b'", "Extra inputs"]),
        ('[{"topic": "a", "encoding": "remote_write", "signal": "logs"}]', ["signal logs", "holds metrics only"]),
        ('[{"topic": "a", "encoding": "vector_json", "fields": {"value": "v"}}]', ["fields", "say what they are"]),
        ('[{"topic": "a", "encoding": "avro", "fields": {"time_unit": "min"}}]', ["a: fields.time_unit", "'ms'"]),
        ('[{"topic": "a", "encoding": "otlp_proto"}, {"topic": "a", "encoding": "otlp_json"}]', ["topic a is named twice"]),
    ],
)
def test_a_fault_is_named_with_its_rule(text: str, words: list[str]) -> None:
    with pytest.raises(ValidationError) as raised:
        IngestSettings(topics=text)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("url", ["redis://host", "host:9092", "kafka://"])
def test_the_cluster_is_a_kafka_url(url: str) -> None:
    with pytest.raises(ValidationError, match="kafka_url"):
        IngestSettings(kafka_url=url)
