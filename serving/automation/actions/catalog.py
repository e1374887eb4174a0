"""All kinds of actions, by their name in runbooks: one table. What they may reach is given, nothing is reached by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiops.automation.action import Action
from serving.automation.actions.allowed_hosts import AllowedHosts
from serving.automation.actions.ansible_playbook import AnsiblePlaybook
from serving.automation.actions.dagster_job import DagsterJob
from serving.automation.actions.feature_flag import FlagFile
from serving.automation.actions.haproxy_weight import HaproxyWeight
from serving.automation.actions.http_call import HttpCall
from serving.automation.actions.human_question import HumanQuestion
from serving.automation.actions.kubernetes_action import kubernetes_action
from serving.automation.actions.kubernetes_api import Cluster, client_in_force
from serving.automation.actions.kubernetes_cordon import KubernetesCordon
from serving.automation.actions.kubernetes_limits import KubernetesLimits
from serving.automation.actions.kubernetes_restart import KubernetesRestart
from serving.automation.actions.kubernetes_rollback import KubernetesRollback
from serving.automation.actions.kubernetes_scale import KubernetesScale
from serving.automation.actions.notification import Notify, TenantChannels
from serving.automation.actions.once_action import once_action
from serving.automation.actions.postgres_session import PostgresKillSession
from serving.automation.actions.postgres_setting import PostgresSetting
from serving.automation.actions.process_restart import ProcessRestart
from serving.automation.actions.redis_setting import RedisSetting
from serving.automation.actions.secret_references import Secrets
from serving.automation.actions.ssh_command import SshCommandKind
from serving.automation.actions.state_action import StateKind, state_action
from serving.automation.actions.suite_model_rollback import ModelRollback, TenantModels
from serving.automation.actions.suite_silence import DetectorPause, SuiteSilence, TenantSilences
from serving.automation.actions.systemd_restart import SystemdRestart

KINDS: Final = (
    *(AnsiblePlaybook, DagsterJob, FlagFile, HaproxyWeight, HttpCall, HumanQuestion, KubernetesCordon, KubernetesLimits),
    *(KubernetesRestart, KubernetesRollback, KubernetesScale, Notify, PostgresKillSession, PostgresSetting, ProcessRestart),
    *(RedisSetting, SshCommandKind, DetectorPause, ModelRollback, SuiteSilence, SystemdRestart),
)
"""Each kind, with its name in runbooks, the model of its parameters and its risk."""


@dataclass(frozen=True, slots=True)
class ActionReach:
    """What actions may reach: hosts that may be called, folders of flag files, and a cluster (`context` of the kubeconfig)."""

    secrets: Secrets
    hosts: frozenset[str] = frozenset()
    flag_folders: tuple[Path, ...] = ()
    in_cluster: bool = False
    context: str | None = None
    dagster_url: str = "http://127.0.0.1:3000"
    """the suite's own Dagster"""
    ssh_file: Path | None = None
    playbook_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class SuiteReach:
    """What actions on the suite itself may reach: what belongs to one tenant."""

    silences: TenantSilences
    models: TenantModels
    channels: TenantChannels


def actions_of(reach: ActionReach) -> Mapping[str, Action]:
    """Return every kind of action on systems of others by its name; opens no connection."""
    hosts = AllowedHosts(reach.hosts)
    kinds: tuple[StateKind, ...] = (
        AnsiblePlaybook(reach.playbook_folder, reach.secrets),
        FlagFile(reach.flag_folders),
        HaproxyWeight(),
        HttpCall(hosts, reach.secrets),
        PostgresKillSession(reach.secrets),
        PostgresSetting(reach.secrets),
        ProcessRestart(),
        RedisSetting(reach.secrets),
        SshCommandKind(reach.ssh_file),
        SystemdRestart(),
    )
    edits = (KubernetesCordon(), KubernetesLimits(), KubernetesRestart(), KubernetesRollback(), KubernetesScale())
    cluster = Cluster(lambda: client_in_force(reach.in_cluster, reach.context))
    actions = [state_action(kind) for kind in kinds] + [kubernetes_action(edit, cluster) for edit in edits]
    actions.append(once_action(DagsterJob(reach.dagster_url, hosts)))
    return {action.planner.kind: action for action in actions}


def suite_actions_of(reach: SuiteReach) -> Mapping[str, Action]:
    """Return every kind of action on what the suite itself has of a tenant, by its name; opens no connection."""
    kinds: tuple[StateKind, ...] = (SuiteSilence(reach.silences), DetectorPause(reach.silences), ModelRollback(reach.models))
    actions = [state_action(kind) for kind in kinds] + [once_action(Notify(reach.channels)), once_action(HumanQuestion())]
    return {action.planner.kind: action for action in actions}
