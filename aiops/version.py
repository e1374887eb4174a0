"""The version of the suite: the one place that says it. The build, `aiops --version` and the OpenAPI documents read it here."""

__version__ = "0.2.0"
