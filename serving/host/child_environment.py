"""What a child process inherits: the machine, the interpreter, the numeric libraries; nothing of ours, no secret of others."""

from collections.abc import Iterable, Mapping
from typing import Final

BASE: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TEMP", "TMP", "HOSTNAME"),
        *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "DO_NOT_TRACK"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy"),
    }
)
"""Names that every child needs or may need."""
BASE_PREFIXES: Final = (
    *("LC_", "XDG_", "PYTHON", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "VECLIB_", "BLIS_", "ARROW_", "MALLOC_"),
    *("COVERAGE_", "COV_CORE_"),
)
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""They may hold a password: only for children that talk to other machines."""
STORES: Final = ("MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "GCLOUD_")
"""Of MLflow and of the object stores that it keeps artifacts in, credentials included: only for children that use them."""


def base_environment(own: Mapping[str, str], prefixes: Iterable[str] = ()) -> dict[str, str]:
    """Return the part of an environment that a child inherits: the base, and names that begin with one of `prefixes`.

    >>> base_environment({"PATH": "/bin", "AIOPS_SERVING__JWT_KEY": "k", "MLFLOW_X": "1"}, ["MLFLOW_"])
    {'PATH': '/bin', 'MLFLOW_X': '1'}
    """
    taken = (*BASE_PREFIXES, *prefixes)
    return {name: value for name, value in own.items() if name in BASE or name.startswith(taken)}
