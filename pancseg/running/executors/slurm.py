"""Start a Dask cluster whose workers are SLURM jobs."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import Any

from pancseg.errors import RunRefused
from pancseg.system.processes.python_child import JOB_LINES


def slurm_cluster(settings: dict[str, Any]) -> Any:
    """Return dask-jobqueue's SLURMCluster, with its jobs submitted.

    Args:
        settings: ``jobs``, the number of jobs (default 1), and arguments of SLURMCluster.

    Raises:
        RunRefused: dask-jobqueue is not installed or does not accept a setting, or a job cannot be
            submitted.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise RunRefused("`slurm` needs dask-jobqueue; pip install 'pancseg[cluster]'") from error
    own = dict(settings)
    jobs = own.pop("jobs", 1)
    if not isinstance(jobs, int) or jobs < 1:
        raise RunRefused(f"`slurm`: jobs is {jobs!r}; expected a whole number of at least 1")
    if not shutil.which("sbatch"):
        raise RunRefused(
            "`slurm`: this machine has no sbatch; start the run on one that submits SLURM jobs"
        )
    no_dashboard = {"dashboard": False, "dashboard_address": ":0"}
    own["job_script_prologue"] = [*JOB_LINES, *_prologue(own)]
    own["scheduler_options"] = {**no_dashboard, **(own.get("scheduler_options") or {})}
    try:
        cluster = SLURMCluster(**own)
    except (OSError, TypeError, ValueError) as error:
        raise RunRefused(f"`slurm`: {_first_sentence(error)}") from error
    cluster.scale(jobs=jobs)
    with suppress(OSError, RuntimeError):
        cluster.sync(cluster._correct_state)  # waits until all jobs are submitted, or one fails
    if len(cluster.workers) < jobs or any(
        job.status.name != "running" for job in cluster.workers.values()
    ):
        with suppress(Exception):
            cluster.close()
        raise RunRefused(
            "`slurm`: a job cannot be submitted; try its queue, account and walltime with sbatch"
        )
    return cluster


def _prologue(settings: dict[str, Any]) -> list[str]:
    """Return the user's own lines of the job script, or those of dask-jobqueue's configuration."""
    import dask

    configured = dask.config.get("jobqueue.slurm", None) or {}
    lines = (
        settings.pop("job_script_prologue", None)
        or configured.get("job-script-prologue")
        or settings.pop("env_extra", None)  # its earlier name
        or configured.get("env-extra")
        or []
    )
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        raise RunRefused("`slurm`: job_script_prologue is not a list of lines")
    return list(lines)


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". Very likely")[0]
