"""One descriptor a model: each is complete, what it names exists, and nothing it says contradicts the others."""

from collections import Counter

import pytest

from aiops.errors import ArtifactError
from data_contracts.schemas.feature_views import FEATURE_SERVICES
from models.artifacts.catalog import (
    CATALOG,
    ModelDescriptor,
    descriptor_of,
    member_name,
    model_class,
    served_models,
    trained_models,
    watched_model,
)
from serving.scoring.answers.scoring import endpoint_of, endpoints, scoring_endpoints
from serving.scoring.http_api.scoring_openapi import openapi

EVERY = pytest.mark.parametrize("descriptor", CATALOG.values(), ids=lambda descriptor: descriptor.name)


@EVERY
def test_a_descriptor_is_complete(descriptor: ModelDescriptor) -> None:
    assert CATALOG[descriptor.name] is descriptor
    assert getattr(model_class(descriptor.name), "catalog_name", None) == descriptor.name
    assert bool(descriptor.trainer) == bool(descriptor.gate), "what is trained is judged, and nothing else"
    assert descriptor.adapter or not descriptor.trainer, "what is promoted answers somewhere"
    if descriptor.endpoint is not None:
        assert descriptor.adapter
        assert descriptor.endpoint.summary
        assert descriptor.endpoint.path.startswith("/")
    if descriptor.feature_service:
        assert descriptor.feature_service in {service.name for service in FEATURE_SERVICES}


@EVERY
@pytest.mark.parametrize("field", ["trainer", "gate", "adapter", "backtest"])
def test_what_a_descriptor_names_exists(descriptor: ModelDescriptor, field: str) -> None:
    if getattr(descriptor, field):
        assert callable(descriptor.part(field))
        return
    with pytest.raises(ArtifactError, match=f"has no {field}"):
        descriptor.part(field)


def test_names_and_paths_are_taken_once() -> None:
    paths = Counter(descriptor.endpoint.path for descriptor in CATALOG.values() if descriptor.endpoint is not None)
    members = Counter(member_name(name) for name in CATALOG)
    assert set(paths.values()) == set(members.values()) == {1}
    assert [descriptor.name for descriptor in CATALOG.values() if descriptor.watched] == [watched_model()]


def test_the_service_answers_for_the_served_models_and_no_others() -> None:
    assert set(served_models()) < set(trained_models()) < set(CATALOG)
    assert {endpoint.model for endpoint in scoring_endpoints()} == set(served_models())
    assert {endpoint.path for endpoint in endpoints()} <= set(openapi()["paths"])
    with pytest.raises(ArtifactError, match="has no endpoint"):
        endpoint_of("isolation-forest")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ArtifactError, match="not in the catalog"):
        descriptor_of("no-such-model")
