"""Sensors that close the loop: drift, or too many false alarms among the verdicts, asks for a retraining; then a cool-down."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import orjson

from orchestration.dagster.jobs import training
from orchestration.dagster.resources import WorkspaceResource
from orchestration.pipeline.drift import latest_check
from orchestration.pipeline.verdicts import false_alarm_rate

MIN_VERDICTS = 20


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a sensor has seen: the last check or verdict it acted on, and when it last asked for a retraining (wall clock)."""

    seen: str = ""
    retrained_at: str = ""

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Return the cursor stored as JSON; a fresh one where there is none."""
        return cls(**orjson.loads(text)) if text else cls()

    def cooling(self, now: datetime, cooldown_min: float) -> bool:
        """Return whether the last retraining was asked for less than `cooldown_min` ago."""
        return bool(self.retrained_at) and now - datetime.fromisoformat(self.retrained_at) < timedelta(minutes=cooldown_min)

    def text(self) -> str:
        """Return the cursor as JSON."""
        return orjson.dumps(asdict(self)).decode()


def _retrain(context: dg.SensorEvaluationContext, seen: str, config: Mapping[str, str], now: datetime) -> dg.SensorResult:
    request = dg.RunRequest(
        run_key=seen, run_config={"ops": {"training_set": {"config": dict(config)}}}, tags={"aiops/reason": seen}
    )
    context.log.info(f"{seen}: asking for a retraining")
    return dg.SensorResult(run_requests=[request], cursor=Cursor(seen, now.isoformat()).text())


@dg.sensor(job=training, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def drift_sensor(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult | dg.SkipReason:
    """Retrain once for each check that found drift, not sooner than the cool-down after the last retraining."""
    space, now, cursor = workspace.open(), datetime.now(UTC), Cursor.parse(context.cursor)
    check = latest_check(space)
    if check is None:
        return dg.SkipReason("no drift check yet")
    seen = f"drift-{check.check_id}"
    if seen == cursor.seen:
        return dg.SkipReason(f"check {check.check_id} was answered already")
    if not check.drifted:
        return dg.SkipReason(check.reason)
    if cursor.cooling(now, space.settings.drift.cooldown_min):
        return dg.SkipReason(f"{check.reason}; cooling down since {cursor.retrained_at}")
    return _retrain(context, seen, {"at": check.at, "recent_from": check.since}, now)


@dg.sensor(job=training, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def false_alarm_sensor(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult | dg.SkipReason:
    """Retrain when the share of false alarms among the verdicts since the last retraining exceeds the limit."""
    space, now, cursor = workspace.open(), datetime.now(UTC), Cursor.parse(context.cursor)
    limit = space.settings.drift.false_positive_rate
    rate = false_alarm_rate(space, datetime.fromisoformat(cursor.retrained_at) if cursor.retrained_at else None)
    text = (
        f"{rate.false_alarms} of {rate.verdicts} verdicts are false alarms (limit {limit:.0%}, at least {MIN_VERDICTS} verdicts)"
    )
    if rate.verdicts < MIN_VERDICTS or rate.share <= limit:
        return dg.SkipReason(text)
    if cursor.cooling(now, space.settings.drift.cooldown_min):
        return dg.SkipReason(f"{text}; cooling down since {cursor.retrained_at}")
    return _retrain(context, f"verdicts-{rate.newest}", {"at": "", "recent_from": ""}, now)
