"""Generate the Python modules of `scoring.proto`: `python -m serving.scoring.proto.regenerate` (needs grpcio-tools, extra `dev`)."""

import subprocess
import sys
from pathlib import Path

PROTO = "serving/scoring/proto/scoring.proto"


def regenerate(root: Path, out: Path) -> None:
    """Compile the contract found below `root` (the folder that holds `serving/`) into the same package path below `out`.

    Raises:
        subprocess.CalledProcessError: the compiler refused the contract; its message is on stderr.
    """
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={root}"]
    command += [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}", str(root / PROTO)]
    subprocess.run(command, check=True)
    stub = out / "serving/scoring/proto/scoring_pb2.pyi"  # the compiler leaves out type arguments that mypy --strict asks for
    stub.write_text(stub.read_text(encoding="utf-8").replace("_Mapping]", "_Mapping[str, object]]"), encoding="utf-8")


if __name__ == "__main__":
    repository = Path(__file__).parents[3]
    regenerate(repository, repository)
