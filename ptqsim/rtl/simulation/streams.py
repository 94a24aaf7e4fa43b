"""The streams of a module: its ports with valid and ready, and the data that they carry."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.rtl.hardware.verilog import Module, Port

_OPERANDS = ("a_code", "b_code", "constant")
_CONTROL = ("w_restart", "out_ready")


@dataclass(frozen=True, slots=True)
class Streams:
    """The ports of a module by what they do.

    Parameters
    ----------
    inputs : dict of str to tuple of Port
        Name of each input stream (its ports are name_valid and name_ready) and the ports that it carries.
    outputs : tuple of Port
        The signals that the output stream (out_valid and out_ready) carries.
    held : tuple of Port
        Inputs that keep their value, reset left out.
    """

    inputs: dict[str, tuple[Port, ...]]
    outputs: tuple[Port, ...]
    held: tuple[Port, ...]

    @classmethod
    def of(cls, module: Module) -> Streams:
        """The streams of a module that has some.

        Raises
        ------
        ValueError
            If the module has no valid and ready.
        """
        names = [port.name.removesuffix("_valid") for port in module.inputs if port.name.endswith("_valid")]
        if not names:
            raise ValueError(f"{module.name} has no streams: it is evaluated, cycle by cycle")
        carried = {
            name: tuple(
                port
                for port in module.inputs
                if (name == "in" and port.name in _OPERANDS)
                or (port.name.startswith(f"{name}_") and port.name not in _CONTROL and not port.name.endswith("_valid"))
            )
            for name in names
        }
        outputs = tuple(port for port in module.outputs if port.name.startswith("out_") and port.name != "out_valid")
        handshake = {f"{name}_valid" for name in names} | {"out_ready", "rst"}
        taken = {port.name for ports in carried.values() for port in ports} | handshake
        return cls(carried, outputs, tuple(port for port in module.inputs if port.name not in taken))
