"""Accumulators of all layers as a mapping by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

import ptqsim as pq
from ptqsim.errors import ArgumentTypeError, unknown_name
from ptqsim.ptq.network.products.operations import MatmulOperation


class Accumulators(MutableMapping[str, pq.Accumulator]):
    """The layers' accumulators, by layer name."""

    def __init__(self, layers: Mapping[str, MatmulOperation]) -> None:
        self._layers = layers

    def _layer(self, name: str) -> MatmulOperation:
        if name not in self._layers:
            raise unknown_name("layer", name, self._layers)
        return self._layers[name]

    def __getitem__(self, name: str) -> pq.Accumulator:
        return self._layer(name).integer.accumulator

    def __setitem__(self, name: str, accumulator: pq.Accumulator) -> None:
        if not isinstance(accumulator, pq.Accumulator):
            raise ArgumentTypeError(
                f"an accumulator was given as {accumulator!r}; legal is a ptqsim.Accumulator: try "
                "ptqsim.Accumulator(bits=24, overflow='wrap')"
            )
        self._layer(name).integer.accumulator = accumulator

    def __delitem__(self, name: str) -> None:
        raise TypeError("every layer has an accumulator; assign another one instead of deleting it")

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)
