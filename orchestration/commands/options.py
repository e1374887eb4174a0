"""Options that several commands share: which source, and JSON output."""

from pathlib import Path
from typing import Annotated

import typer

ActedBy = Annotated[str | None, typer.Option("--by", help="who acts; default: the system's user")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]
SourceName = Annotated[
    str,
    typer.Option(
        "--source",
        help="simulate, csv, parquet, nezha, petshop, nab or prometheus; of `aiops up` also remote-write or otlp: only listen",
        show_default=True,
    ),
]
SourcePath = Annotated[Path | None, typer.Option("--path", help="file or folder of the source")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="of a text file that is not UTF-8, e.g. cp1252")]
SourceSet = Annotated[
    list[str] | None,
    typer.Option("--set", help="further source option name=value, repeatable; e.g. --set columns=timestamp=ts,value=v"),
]
CorpusPath = Annotated[Path, typer.Option("--path", help="folder of the corpus", exists=True, file_okay=False)]
Out = Annotated[Path, typer.Option("--out", help="file that the predictions are written to", dir_okay=False)]
