"""Requests to batch systems, without one; and clusters that can't be had."""

from __future__ import annotations

import pytest

from ptqsim.sweep.execution import clusters
from ptqsim.sweep.study.definition import Cluster
from ptqsim.sweep.study.reading import parse_study

STUDY = """
name: x
axes: {{model: vit_digits, method: percentile}}
cluster:
  kind: {kind}
  jobs: 4
  processes: 8
  memory: 32GB
  walltime: "{walltime}"
  queue: short
  account: quant
  interface: lo
  directives: ["{directive}"]
  prologue: ["source /opt/ptqsim/bin/activate"]
"""


def configured(kind: str, directive: str, walltime: str = "02:00:00") -> Cluster:
    cluster = parse_study(STUDY.format(kind=kind, directive=directive, walltime=walltime)).cluster
    assert cluster is not None
    return cluster


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("slurm", ["#SBATCH -p short", "#SBATCH -A quant", "#SBATCH --cpus-per-task=8", "#SBATCH --mem=30G",
                   "#SBATCH -t 02:00:00", "#SBATCH --constraint=avx512"]),
        ("pbs", ["#PBS -q short", "#PBS -A quant", "#PBS -l select=1:ncpus=8:mem=30GB", "#PBS -l walltime=02:00:00",
                 "#PBS --constraint=avx512"]),
        ("lsf", ["#BSUB -q short", '#BSUB -P "quant"', "#BSUB -n 8", "#BSUB -W 02:00", "#BSUB --constraint=avx512"]),
    ],
)  # fmt: skip
def test_the_script_of_a_job(kind: str, lines: list[str]) -> None:
    configuration = configured(kind, "--constraint=avx512", "02:00" if kind == "lsf" else "02:00:00")
    with clusters.job_queue(configuration) as cluster:
        script = cluster.job_script()
    for line in lines:
        assert line in script.splitlines()
    assert "export OMP_NUM_THREADS=1" in script
    assert script.index("export OMP_NUM_THREADS=1") < script.index("source /opt/ptqsim/bin/activate")
    assert "distributed.cli.dask_worker" in script
    assert "--nthreads 1" in script
    assert "--nworkers 8" in script
    assert script.index("source /opt/ptqsim") < script.index("dask_worker")


def test_an_unknown_batch_system_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown batch system 'slurmm'.*Did you mean 'slurm'"):
        configured("slurmm", "x")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://"])
def test_nothing_at_the_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1)
    with pytest.raises(ValueError, match="no Dask scheduler answers at"), clusters.connected(address):
        pass
