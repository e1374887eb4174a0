"""Topics of Kafka that others fill, as the settings of the receivers name them."""

import json
from typing import Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from aiops.settings.section import Section
from data_contracts.series.tenant import DEFAULT_TENANT, TenantError, checked_tenant

EXAMPLE: Final = '[{"topic": "otlp_metrics", "encoding": "otlp_proto"}]'


OTLP: Final = frozenset({"otlp_proto", "otlp_json"})
MAPPED: Final = frozenset({"avro", "json", "protobuf"})
"""Encodings whose messages are records of their own fields."""


class RecordFields(Section):
    """Where in a record the parts of a point are: paths with dots between names, or a constant behind `=`."""

    timestamp: str = Field("timestamp", min_length=1, description="path of the time")
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = Field(
        "ms", description="unit of a time that is a number, or iso for a text"
    )
    service: str = Field("service", min_length=1, description="path of the service, or =name")
    metric: str = Field("metric", min_length=1, description="path of the metric's name, or =name")
    value: str = Field("value", min_length=1, description="path of the number")
    labels: str | tuple[str, ...] = Field("labels", description="path of an object, or paths of single fields")
    kind: Literal["gauge", "counter", "delta"] = Field("gauge", description="a value as it is, a running total, an amount")


class TopicSettings(Section):
    """One topic: what its messages are, and whose."""

    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="name of the topic")
    encoding: Literal["otlp_proto", "otlp_json", "remote_write", "avro", "json", "protobuf", "vector_json"] = Field(
        description="what each message is"
    )
    fields: RecordFields = Field(RecordFields(), description="where the parts of a point are in a record")
    signal: Literal["metrics", "logs", "traces"] = Field("metrics", description="what messages of OTLP hold")
    tenant: str = Field(DEFAULT_TENANT, description="whose telemetry it is")
    start: Literal["earliest", "latest"] = Field("earliest", description="where the first reading begins")

    @field_validator("tenant")
    @classmethod
    def _names_a_tenant(cls, text: str) -> str:
        try:
            return checked_tenant(text)
        except TenantError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _holds_what_its_encoding_can(self) -> "TopicSettings":
        if self.encoding not in OTLP and self.signal != "metrics":
            raise ValueError(f"signal {self.signal}: {self.encoding} holds metrics only; leave signal out, or use otlp_proto")
        if "fields" in self.model_fields_set and self.encoding not in MAPPED:
            raise ValueError(f"fields: messages of {self.encoding} say what they are; leave fields out")
        return self


def topics_of(text: str) -> tuple[TopicSettings, ...]:
    """Return the topics that a setting names, as JSON.

    >>> [topic.topic for topic in topics_of(EXAMPLE)]
    ['otlp_metrics']

    Raises:
        ValueError: it is no list of topics; the message names topic, field, value and rule.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error}); write for example {EXAMPLE}") from error
    if not isinstance(given, list) or not all(isinstance(topic, dict) for topic in given):
        raise ValueError(f"is no JSON list of objects; write for example {EXAMPLE}")
    topics = tuple(_topic(number, topic) for number, topic in enumerate(given))
    names = [topic.topic for topic in topics]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"topic {name} is named twice; its messages are of one encoding and one tenant: name it once")
    return topics


def _topic(number: int, given: dict[str, object]) -> TopicSettings:
    try:
        return TopicSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "topic"
        name = given.get("topic", f"number {number + 1}")
        raise ValueError(f"{str(name)[:100]}: {place} = {str(given.get(place, 'missing'))[:100]!r}: {first['msg']}") from error
