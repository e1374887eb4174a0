"""One kit for every HTTP API of the suite: problem JSON, tokens and roles, tenants, limits, Host and Origin, OpenAPI.

An API is a list of operations behind one gate:

    parts = ...                                        # ports of this API, with `auth: Authenticator`
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.auth, app.state.limits = parts.auth, parts.limits
    handle_problems(app)                               # refusals.py: every known error as application/problem+json
    install(app, [Operation("GET", "/things", things, Role.VIEWER, "All things", Things)])   # operations.py
    app.add_middleware(Gate, rules=GateRules(...))     # request_gate.py: ids, sites, methods, too many calls, callers who leave
    ApiServer(app, host, port).start()                 # server.py

An endpoint asks for what it needs by type: `by: By` (who calls) and `tenant: OfTenant` (whose data), both from guarded_route.py.
`description(app)` (openapi.py) describes it. Whatever is not FastAPI uses the same parts below: `Authenticator.check`,
`tenant_of_request`, `SiteRules.check`, `Problem`. Modules without Starlette: auth, problem, request_id,
signature, cross_site, request_tenant.
"""
