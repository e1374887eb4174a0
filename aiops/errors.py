"""The error tree. Bad data is a value (a rejected row); a bad program or a bad request raises one of these.

AiopsError
├── ConfigurationError      a setting or argument cannot be used
├── SourceError             a telemetry source cannot be read
│   └── FileError           a file that was given is not what it should be: another form, encoding or column
├── ContractError           a whole payload breaks its schema (single rows are rejected, not raised)
├── StateError              a checkpoint or model state is damaged or of another version
│   └── OutdatedState       whole, but of another version of this program: it is made anew
├── ModelError
│   ├── ModelNotFound       no such model, version or alias
│   ├── TrainingImpossible  the history cannot teach this model (no labelled incident, too few rows)
│   └── ArtifactError       an artifact's hash, format or version does not match its manifest
├── GateRefused             a promotion was refused; the scorecard says why
├── RunRefused              a plan may not be approved or run: stale, expired, beyond a bound, switched off
├── StepRefused             an action surely changed nothing: its target refuses or has been changed meanwhile
├── FencedError             another process owns this partition or producer id now
├── SequenceConflict        a producer used a number for two batches
└── Unavailable             a dependency (broker, scorer, feature store) does not answer
    └── DiskFull            a disk has no room for what is to be kept
"""


class AiopsError(Exception):
    """Root of all errors raised on purpose; the command line prints its message and exits with `exit_code`."""

    exit_code = 1


class ConfigurationError(AiopsError):
    """A setting or argument cannot be used; the message names it, its value, the rule and the fix."""

    exit_code = 2


class SourceError(AiopsError):
    """A telemetry source cannot be read."""

    exit_code = 3


class FileError(SourceError):
    """A file that was given cannot be read as what it should be; the message says what to mend or which option to give."""

    exit_code = 2


class ContractError(AiopsError):
    """A whole payload breaks its schema."""

    exit_code = 4


class StateError(AiopsError):
    """A checkpoint or model state is damaged or of another version."""

    exit_code = 5


class OutdatedState(StateError):
    """A stored state of another version of this program cannot be read; where it can be rebuilt, it is, and the log says so."""


class ModelError(AiopsError):
    """A model cannot be used."""

    exit_code = 6


class ModelNotFound(ModelError):
    """No such model, version or alias."""


class TrainingImpossible(ModelError):
    """The history is not enough to train this model: no labelled incident, too few rows. The other models are trained."""


class ArtifactError(ModelError):
    """An artifact's hash, format or version does not match its manifest."""


class GateRefused(AiopsError):
    """A promotion was refused; the message is the gate's reason."""

    exit_code = 7


class RunRefused(AiopsError):
    """A plan may not be approved or run; the message names the rule, the value and what would have to change."""

    exit_code = 4


class StepRefused(AiopsError):
    """A step of a runbook surely changed nothing: the target refused it, or is in another state than planned."""

    exit_code = 4


class FencedError(AiopsError):
    """Another process took ownership of this partition or producer id: stop at once, write nothing."""

    exit_code = 8


class SequenceConflict(AiopsError):
    """A producer's number stands for another batch already: nothing was written; the message says how to go on."""

    exit_code = 10


class Unavailable(AiopsError):
    """A dependency does not answer."""

    exit_code = 9


class DiskFull(Unavailable):
    """A disk is full; the message names it. Make room and try again."""


def legible(error: object, most: int = 200) -> str:
    """Return what an error of a library says, fit to be shown: one line, cut, U+FFFD for what is not printable.

    >>> legible(ValueError("bad\\x00 cell"))
    'bad\ufffd cell'
    """
    text = "".join(character if character.isprintable() else "\ufffd" for character in " ".join(str(error).split())[:most])
    return text if len(text) < most else f"{text}…"
