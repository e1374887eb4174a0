#!/bin/sh
# vmagent scrapes and sends to the suite by remote write 1.0; further arguments go to vmagent.
# With a token: -remoteWrite.bearerTokenFile=FILE; for a tenant: -remoteWrite.headers='X-Scope-OrgID: acme'.
cd "$(dirname "$0")" || exit 1
exec "${VMAGENT:-vmagent}" \
    -promscrape.config=vmagent.yml \
    -remoteWrite.url=http://127.0.0.1:3104/api/v1/write \
    -remoteWrite.urlRelabelConfig=vmagent-relabel.yml \
    -remoteWrite.tmpDataPath="${TMPDIR:-/tmp}/vmagent-aiops" \
    "$@"
