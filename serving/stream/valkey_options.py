"""What any Valkey of the suite is set to, whoever starts it: `infra/kubernetes/valkey.conf` says the same.

Streams are appended to and trimmed all the time. Writing the append-only file anew every few seconds, as the server's own
settings have it (64 MB, twice as large), and compressing what does not compress cost more than the appends themselves.
"""

from collections.abc import Mapping
from typing import Final

SERVER_OPTIONS: Final[Mapping[str, str]] = {
    "appendonly": "yes",
    "save": "",
    "rdbcompression": "no",
    "auto-aof-rewrite-min-size": "512mb",
    "auto-aof-rewrite-percentage": "200",
    "maxmemory-policy": "noeviction",
    "stream-node-max-bytes": "0",
    "stream-node-max-entries": "16",
}
