"""Topics of Kafka that others fill, as the settings of the receivers name them."""

import json
from typing import Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from aiops.settings.section import Section
from data_contracts.series.tenant import DEFAULT_TENANT, TenantError, checked_tenant

EXAMPLE: Final = '[{"topic": "otlp_metrics", "encoding": "otlp_proto"}]'


class TopicSettings(Section):
    """One topic: what its messages are, and whose."""

    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="name of the topic")
    encoding: Literal["otlp_proto", "otlp_json", "remote_write"] = Field(description="what each message is")
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
        if self.encoding == "remote_write" and self.signal != "metrics":
            raise ValueError(f"signal {self.signal}: remote_write holds metrics only; leave signal out, or use otlp_proto")
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
