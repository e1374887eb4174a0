"""How the scoring service is started: what BentoML is told."""

from aiops.settings.tree import Settings
from serving.scoring.run import launch


def test_no_spans_are_made_where_nothing_samples_them() -> None:
    options = launch(Settings(), {}).environment["BENTOML_CONFIG_OPTIONS"]
    assert "services.Scorer.tracing.excluded_urls=." in options.split()


def test_a_configuration_of_bentoml_decides_about_tracing() -> None:
    options = launch(Settings(), {"BENTOML_CONFIG": "/etc/bentoml.yaml"}).environment["BENTOML_CONFIG_OPTIONS"]
    assert "tracing" not in options
    assert "services.Scorer.workers=1" in options.split()
