"""Settings of the stage that makes series of logs and spans."""

from pydantic import Field

from aiops.settings.section import Section


class SignalSettings(Section):
    """Series by service and minute made of logs and spans (`python -m serving.signal_minutes`)."""

    minutes: bool = Field(True, description="make series of logs and spans; off = they are stored only")
    metrics_port: int = Field(3106, ge=0, le=65535, description="metrics and health of the process that makes them")
    lateness_s: int = Field(
        10, ge=0, le=600, description="how long a minute waits for late lines and spans, in event time; its points bear that time"
    )
    idle_s: float = Field(15.0, ge=1, description="a tenant that sends nothing for so long has its minutes closed by the clock")
    max_series: int = Field(
        2000,
        ge=1,
        description="series of logs of a tenant, and as many of services, of operations and of calls; more are left out, counted",
    )
    graph: bool = Field(True, description="keep the calls between services in the call graph, with origin traces")
    requests: bool = Field(
        True, description="compare what requests do (order of log lines, calls, failures) with the last hour; needs spans"
    )
    texts: bool = Field(
        True, description="keep patterns of log lines and an example of each in the lake, for reasons of detections"
    )
