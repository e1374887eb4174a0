"""The committed gRPC modules are what the committed contract generates, and the contract is not broken by accident."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from google.protobuf import descriptor_pb2

from serving.scoring.proto import scoring_pb2 as pb
from serving.scoring.proto.regenerate import PROTO, regenerate

ROOT = Path(__file__).parents[2]
METHODS = {"Score", "PredictIncident", "Season", "RootCause", "Explain"}


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("regenerated_scoring_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_regeneration_gives_the_committed_descriptor(tmp_path: Path) -> None:
    regenerate(ROOT, tmp_path)
    again = load(tmp_path / "serving/scoring/proto/scoring_pb2.py")
    assert again.DESCRIPTOR.serialized_pb == pb.DESCRIPTOR.serialized_pb
    for name in ("scoring_pb2.pyi", "scoring_pb2_grpc.py"):
        assert (tmp_path / "serving/scoring/proto" / name).read_text() == (ROOT / "serving/scoring/proto" / name).read_text()


def test_the_descriptor_is_that_of_the_proto_file(tmp_path: Path) -> None:
    out = tmp_path / "descriptor.bin"
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={ROOT}",
        f"--descriptor_set_out={out}",
        str(ROOT / PROTO),
    ]
    subprocess.run(command, check=True)
    compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    committed = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    assert compiled.package == committed.package == "aiops.scoring.v1"
    assert [message.name for message in compiled.message_type] == [message.name for message in committed.message_type]
    assert {method.name for method in compiled.service[0].method} == METHODS


NUMBERS = {
    "Row": {"service": 1, "event_time_us": 2, "features": 3},
    "Rows": {"feature_names": 1, "rows": 2},
    "ScoreRequest": {"rows": 1, "arrow_stream": 2},
    "ScoreResponse": {
        "model": 1, "model_version": 2, "request_id": 3, "outputs": 4, "thresholds": 5, "rows": 6, "arrow_stream": 7,
    },
    "ExplainRequest": {"model": 1, "rows": 2},
}  # fmt: skip


def test_field_numbers_that_clients_were_built_with_stay() -> None:
    for message, numbers in NUMBERS.items():
        fields = pb.DESCRIPTOR.message_types_by_name[message].fields_by_name
        assert {name: field.number for name, field in fields.items()} == numbers


def test_features_are_packed_doubles() -> None:
    wire = pb.Row(service="", features=[1.0] * 27).SerializeToString()
    assert len(wire) == 27 * 8 + 3
