"""The places where tasks run: processes of this machine, a given Dask cluster, or a batch system."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ptqsim.sweep.study.definition import Cluster

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster
    from distributed import Client

CONNECT_SECONDS: Final = 30
_ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Of every worker: one process per core, one thread each."""


@contextmanager
def local(jobs: int) -> Iterator[Client]:
    """Processes of this machine, one thread each; they end with the context."""
    import dask
    from distributed import Client, LocalCluster

    # the scheduler lives in this process, and would remember the last 100,000 changes of state
    logs = {"distributed.admin.low-level-log-length": 100, "distributed.admin.log-length": 100}
    # memory is the operating system's matter: a limit per worker would kill calibrations of large networks
    settings = {"distributed.nanny.pre-spawn-environ": _ENVIRONMENT, "distributed.worker.daemon": True, **logs}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",  # not 8787, which another study may have
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A Dask cluster that is running; it is left as it is.

    Raises
    ------
    ValueError
        If nothing answers at the address, or no worker joins.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"no Dask scheduler answers at {address!r} ({reason}); legal is the address that dask-scheduler prints: "
            "try tcp://HOST:8786"
        ) from None
    with client:
        _wait(client)
        yield client


@contextmanager
def batch_system(configuration: Cluster) -> Iterator[Client]:
    """Jobs of a batch system, submitted now and cancelled at the end."""
    from distributed import Client

    with job_queue(configuration) as cluster, Client(cluster) as client:
        cluster.scale(jobs=configuration.jobs)
        yield client


def job_queue(configuration: Cluster) -> JobQueueCluster:
    """The cluster of dask-jobqueue that a configuration describes; its ``job_script()`` is what will be submitted.

    Raises
    ------
    ModuleNotFoundError
        Without the extra [cluster].
    """
    from dask_jobqueue.lsf import LSFCluster
    from dask_jobqueue.pbs import PBSCluster
    from dask_jobqueue.slurm import SLURMCluster

    kinds: dict[str, type[JobQueueCluster]] = {"slurm": SLURMCluster, "lsf": LSFCluster, "pbs": PBSCluster}
    exports = [f"export {name}={value}" for name, value in _ENVIRONMENT.items()]
    given: dict[str, Any] = {
        "cores": configuration.processes,
        "processes": configuration.processes,
        "memory": configuration.memory,
        "walltime": configuration.walltime,
        "queue": configuration.queue,
        "account": configuration.account,
        "interface": configuration.interface,
        "job_extra_directives": list(configuration.directives),
        "job_script_prologue": [*exports, *configuration.prologue],
    }
    if configuration.kind == "lsf":  # LSF calls what is billed a project
        given["project"] = given.pop("account")
    return kinds[configuration.kind](**{name: value for name, value in given.items() if value is not None})


def default_jobs() -> int:
    """A process per core that this one may use."""
    return len(os.sched_getaffinity(0))


def _wait(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ValueError(
            f"no worker has joined the scheduler in {CONNECT_SECONDS} seconds: start some with dask worker"
        ) from None
