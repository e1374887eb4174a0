"""The version of the suite: the one place that says it. The build, `aiops --version` and the OpenAPI documents read it here."""

from typing import Final

__version__: Final = "0.2.0"
