"""Settings of acting on incidents: whether, by which runbooks, within which bounds."""

from pathlib import Path

from pydantic import Field, SecretStr

from aiops.settings.section import Section


class AutomationSettings(Section):
    """Acting on incidents (`python -m serving.automation`): plans, approvals, runs."""

    enabled: bool = Field(True, description="plan for decided causes and carry out what is approved; off = the process rests")
    port: int = Field(3107, ge=0, le=65535, description="HTTP API of plans and runs, metrics and health, at serving.host")
    runbooks: Path | None = Field(
        None, description="folder of runbooks (YAML); unset = runbooks/ below home, none where it is absent"
    )
    library: bool = Field(False, description="put the runbooks that come with the suite in force beside those of the folder")
    least_probability: float = Field(
        0.5, gt=0, le=1, description="probability from which a first cause is planned for that is not decided"
    )
    lease_s: float = Field(30.0, ge=5, le=600, description="after so long another process carries out the runs of a silent one")
    allowed_hosts: str = Field("", description="hosts that http.call may reach, HOST or HOST:PORT; `;` between; empty = none")
    dagster_url: str | None = Field(None, description="Dagster on which dagster.job launches; unset = the suite's own")
    ssh_file: Path | None = Field(None, description="hosts and commands that ssh.command may use (YAML); unset = none")
    playbook_folder: Path | None = Field(
        None, description="folder of playbooks and inventories that ansible.playbook may use; unset = none"
    )
    flag_folders: str = Field("", description="folders whose flag files may be changed; `;` between; empty = none")
    secret_folders: str = Field(
        "", description="folders whose files may be read as secrets (file:/PATH); `;` between; empty = none"
    )
    kube_context: str = Field(
        "", description="context of the kubeconfig; empty = in a pod its own cluster, else the one in force"
    )
    runs_per_hour: int = Field(6, ge=0, description="runs of all runbooks together that may begin in an hour")
    runs_per_day: int = Field(20, ge=0, description="runs of all runbooks together that may begin in a day")
    application_share: float = Field(
        0.34, gt=0, le=1, description="share of an application's services that may be acted on at once; one of a small one always"
    )
    link_key: SecretStr | None = Field(
        None, description="signs links in notifications that approve a plan once (32 bytes or more); unset = no such links"
    )
    public_url: str | None = Field(None, description="address of this API in notifications; unset = http://host:port")
