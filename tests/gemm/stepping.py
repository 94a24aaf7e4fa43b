"""The oracle of the benchmark, under the name that these tests call it by."""

from benchmarks.oracle import bounded as bounded
from benchmarks.oracle import run as run
