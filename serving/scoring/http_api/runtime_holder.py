"""Where a worker puts its runtime; the routes exist before it does."""

from dataclasses import dataclass

from serving.http.problem import Problem, ProblemError
from serving.scoring.runtime import Runtime


@dataclass(slots=True)
class RuntimeHolder:
    """Where the worker puts its runtime once it is built."""

    runtime: Runtime | None = None

    def get(self) -> Runtime:
        """Return the runtime.

        Raises:
            ProblemError: 503, the worker is still starting.
        """
        if self.runtime is None:
            raise ProblemError(Problem(503, "starting", "the service is starting. Try again in a moment."))
        return self.runtime
