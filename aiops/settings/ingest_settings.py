"""Settings of the receivers: what senders push is taken here."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from aiops.settings.section import Section
from aiops.settings.setting_parts import setting_parts
from aiops.settings.topic_settings import TopicSettings, topics_of
from data_contracts.series.text import MAX_BYTES

if TYPE_CHECKING:
    from data_contracts.values.masking import Masks

OVERRIDABLE = frozenset({"points_per_s", "max_series", "max_body_bytes", "max_labels", "max_label_bytes"})
"""Limits that may be given for a single tenant."""


class IngestSettings(Section):
    """The receivers: remote write and OTLP. Limits are a tenant's; lists are separated by `;`."""

    host: str = Field("127.0.0.1", description="bind address; anything but loopback requires the JWT key of section serving")
    port: int = Field(3104, ge=0, le=65535, description="HTTP port: /api/v1/write, /v1/{metrics,logs,traces}, /readyz, /metrics")
    grpc_port: int = Field(3105, ge=0, le=65535, description="gRPC port of OTLP")
    service_labels: str = Field(
        "service_name;service;app_kubernetes_io_name;app;job", description="labels that name a series' service, first one counts"
    )
    host_metrics: str = Field("node_*;windows_*;system.*", description="globs of metrics whose service is the host they are of")
    resource_labels: str = Field(
        "service.instance.id;host.name;container.name;k8s.*.name;cloud.region;deployment.environment*",
        description="globs of OTLP resource attributes that are labels of a series; others describe it and are left out",
    )
    replica_label: str = Field("__replica__", description="label that tells the members of an HA pair apart")
    cluster_label: str = Field("cluster", description="label that names an HA pair")
    pair_labels: str = Field(
        "prometheus;prometheus_group;region;datacenter;environment;env",
        description="external labels that name an HA pair where the cluster's label is absent",
    )
    replica_silent_s: float = Field(30.0, gt=0, description="the other member of an HA pair takes over after so long")
    points_per_s: int = Field(2_000_000, ge=1, description="points a second, over 10 s; more are answered 429")
    max_series: int = Field(100_000, ge=1, description="active series; new ones beyond it are refused, known ones never")
    max_body_bytes: int = Field(16 << 20, ge=1024, description="a larger body is refused, compressed or not")
    max_labels: int = Field(64, ge=1, le=64, description="labels of a series")
    max_label_bytes: int = Field(2048, ge=16, le=MAX_BYTES, description="bytes of metric and labels as text, escaped for people")
    limits: str = Field(
        "{}", description='limits of single tenants as JSON, for example {"acme": {"max_series": 1000000, "points_per_s": 50000}}'
    )
    topics: str = Field(
        "[]",
        description="topics of Kafka that others fill: a JSON list of topic, encoding (otlp_proto, otlp_json, remote_write, "
        "avro, json, protobuf, vector_json), and where it is not metrics, default, earliest: signal (metrics, logs, traces), "
        "tenant, start (earliest, latest); of records their fields; as in "
        '[{"topic": "otlp_metrics", "encoding": "otlp_proto"}]',
    )
    kafka_url: str = Field(
        "",
        pattern=r"^(kafka://.+)?$",
        description="cluster of topics: kafka://[user:password@]host:9092[?security_protocol=SASL_SSL&…]",
    )
    registry_url: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="schema registry of topics in avro, json, protobuf: http://[user:password@]host:8081, or https",
    )
    registry_ca_file: Path | None = Field(
        None, description="certificates (PEM) of the authorities of an https registry, in place of the public ones"
    )
    registry_cert_file: Path | None = Field(None, description="certificate (PEM) that is shown to a registry that asks for one")
    registry_key_file: Path | None = Field(None, description="its key (PEM), where it is not in the certificate's file")
    registry_key_password: SecretStr | None = Field(None, description="password of the key, where it is encrypted")
    mask: str = Field(
        "secrets;email;card;iban",
        description="what is masked in logs and spans before they are stored: groups of rules, secrets, email, card, iban, ip",
    )
    mask_patterns: str = Field(
        "{}", description='own patterns (RE2) that are masked, as JSON, for example {"employee": "\\\\bE[0-9]{6}\\\\b"}'
    )
    idle_h: float = Field(2.0, gt=0, description="hours after which a series that sends nothing is forgotten and counts no more")
    announce_s: float = Field(600.0, gt=0, description="how often the definition of an active series is sent again")
    max_in_flight: int = Field(64, ge=1, description="requests in progress at once; more are answered 429")
    explosion_series: int = Field(
        1000, ge=10, description="new series of one metric within 10 minutes from which a notice names the label that explodes"
    )

    @property
    def read_topics(self) -> tuple[TopicSettings, ...]:
        """Return the topics that are read."""
        return topics_of(self.topics)

    @property
    def masks(self) -> "Masks":
        """Return what is masked in logs and spans."""
        return masks_of(self.mask, self.mask_patterns)

    @model_validator(mode="after")
    def _are_masks(self) -> Self:
        masks_of(self.mask, self.mask_patterns)
        return self

    @field_validator("topics")
    @classmethod
    def _are_topics(cls, text: str) -> str:
        topics_of(text)
        return text

    @field_validator("limits")
    @classmethod
    def _are_limits(cls, text: str) -> str:
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ValueError(f"is not JSON ({error}); write for example {{}}") from error
        rule = 'is no JSON object of tenants with limits; write {"acme": {"max_series": 1000}}'
        if not isinstance(given, dict) or not all(isinstance(limits, dict) for limits in given.values()):
            raise ValueError(rule)
        for tenant, limits in given.items():
            for name, value in limits.items():
                if name not in OVERRIDABLE:
                    raise ValueError(f"{tenant}.{name}: no limit of a tenant; they are {', '.join(sorted(OVERRIDABLE))}")
                if type(value) is not int or value < 1:
                    raise ValueError(f"{tenant}.{name} = {value!r}: must be an integer of 1 or more")
        return text


def masks_of(groups: str, patterns: str) -> "Masks":
    """Return the rules of groups, separated by `;`, and of patterns as JSON.

    Raises:
        ValueError: a group is unknown, or a pattern is none.
    """
    from data_contracts.values.masking import Masks

    try:
        own = json.loads(patterns)
    except ValueError as error:
        raise ValueError(f"mask_patterns is not JSON ({error}); write for example {{}}") from error
    if not isinstance(own, dict) or not all(isinstance(pattern, str) for pattern in own.values()):
        raise ValueError('mask_patterns is no JSON object of patterns by name; write {"employee": "\\\\bE[0-9]{6}\\\\b"}')
    return Masks.of(setting_parts(groups), own)
