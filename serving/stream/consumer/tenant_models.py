"""The scoring service as one tenant sees it: every request names the tenant."""

from dataclasses import dataclass

import pyarrow as pa

from serving.stream.consumer.scoring_client import Scored, ScoringClient


@dataclass(frozen=True, slots=True)
class TenantModels:
    """A tenant's view of one client."""

    client: ScoringClient
    tenant: str

    def season(self, batch: pa.RecordBatch) -> Scored:
        """Compare points with the seasonal bands of the tenant's series; see `ScoringClient.season`."""
        return self.client.season(batch, self.tenant)

    def score(self, batch: pa.RecordBatch) -> Scored:
        """Score service vectors of the tenant; see `ScoringClient.score`."""
        return self.client.score(batch, self.tenant)

    def predict(self, batch: pa.RecordBatch) -> Scored:
        """Predict incidents from service vectors of the tenant; see `ScoringClient.predict`."""
        return self.client.predict(batch, self.tenant)
