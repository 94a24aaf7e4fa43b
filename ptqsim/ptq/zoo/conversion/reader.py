"""The process that reads a PyTorch checkpoint: started by path, without the rest of ptqsim.

It gets a request as JSON on its standard input, answers with JSON on its standard output, and writes the safetensors
file that the request names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

    from ptqsim.ptq.zoo.conversion.contents import Refusal, choose, dictionaries, renamed
    from ptqsim.ptq.zoo.conversion.fences import Fence, bound_memory, leave_network
elif __name__ == "__main__":  # beside this file; the package above would import all of ptqsim
    sys.path.insert(0, str(Path(__file__).parent))
    from contents import Refusal, choose, dictionaries, renamed
    from fences import Fence, bound_memory, leave_network
else:
    from ptqsim.ptq.zoo.conversion.contents import Refusal, choose, dictionaries, renamed
    from ptqsim.ptq.zoo.conversion.fences import Fence, bound_memory, leave_network

_ROOM: Final = 2**31
_TIMES: Final = 4
"""Tensors may take so many times the size of their file, as those that share memory are written out one by one."""

_CHUNK: Final = 2**22

_SCRIPT: Final = (
    "is a TorchScript archive, which holds code: save the weights alone (torch.save(model.state_dict(), ...))"
)


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever is printed is no answer
    network = leave_network()
    sys.path[:] = request["path"]
    import torch

    torch.set_num_threads(1)
    _allow_harmless()
    fence = Fence()
    size = sum(Path(source).stat().st_size for source in request["sources"])
    bound_memory(2 * _TIMES * size + _ROOM)
    try:
        answer = converted(request, fence) | {"network": network}
    except Refusal as refusal:
        answer = {"refused": str(refusal)}
    except MemoryError:
        answer = {"refused": f"needs more than {_TIMES} times its own size of memory: it is damaged, or made to"}
    json.dump(answer, answers)
    answers.close()


def _allow_harmless() -> None:
    """Types that training scripts keep beside weights, and that hold values and run nothing."""
    import argparse
    import pathlib

    import numpy as np
    import torch

    scalar: Any = np.float32(0).__reduce__()[0]
    kinds: list[Any] = [argparse.Namespace, pathlib.PosixPath, np.dtype, scalar]
    kinds += [type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")]
    torch.serialization.add_safe_globals(kinds)
    if hasattr(torch.serialization, "safe_globals"):  # releases that take names: NumPy 1 has another for its scalars
        torch.serialization.add_safe_globals([(scalar, "numpy.core.multiarray.scalar")])


def converted(request: Mapping[str, Any], fence: Fence) -> dict[str, Any]:
    """Read the sources that a request names, and write the tensors if it names an output.

    Parameters
    ----------
    request : mapping
        ``sources`` and ``output``, paths; ``key``, ``ema``, ``prefix`` and ``strip`` as of
        :func:`ptqsim.ptq.convert`.
    fence : Fence
        Closed while a pickle is read.
    """
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    answer: dict[str, Any] = {"entries": [], "left_out": {}, "sources": []}
    for source in map(Path, request["sources"]):
        root = _load(source, fence)
        found = dictionaries(root, _is_tensor)
        path = choose(found, request["key"], request["ema"])
        own = {name: value for name, value in found[path].items() if isinstance(name, str) and _is_tensor(value)}
        if twice := sorted(tensors.keys() & own.keys()):
            raise Refusal(f"has tensor {twice[0]!r} in two of its files: fetch all of them anew")
        tensors |= own
        answer["key"] = path
        answer["entries"] += _entries(root, found)
        answer["left_out"] |= _left_out(root, found, path)
        answer["sources"].append({"name": source.name, "sha256": _sha256(source)})
    names, answer["prefixes"] = renamed(tensors, request["prefix"], request["strip"])
    answer["left_out"] |= {name: "a tensor without the prefix" for name in tensors if name not in names}
    size = sum(Path(source).stat().st_size for source in request["sources"])
    made, answer["shared"] = _separate({new: tensors[old] for old, new in names.items()}, _TIMES * size + _CHUNK)
    answer["tensors"] = {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in made.items()}
    if request["output"] is not None:
        about = {name: answer[name] for name in ("sources", "key", "prefixes")}
        save_file(made, request["output"], metadata={"format": "pt", "ptqsim.convert": json.dumps(about)})
    return answer


def _load(source: Path, fence: Fence) -> Any:
    import torch

    zipped = zipfile.is_zipfile(source)
    if zipped:
        _check_records(source)
    try:
        with warnings.catch_warnings(action="ignore"), fence.closed():
            return torch.load(source, map_location="cpu", weights_only=True, mmap=zipped)
    except MemoryError:
        raise
    except Exception as error:  # what a damaged pickle makes the unpickler and torch raise has no end
        raise Refusal(_told(error, fence)) from None


def _told(error: Exception, fence: Fence) -> str:
    """The reason for which a file can't be read."""
    text = " ".join(str(error).split())
    needs = re.search(r"GLOBAL ([\w.]+)", text)
    if fence.met or needs:
        what = needs.group(1) if needs else fence.met
        return (
            f"would have to run {what} to be unpickled, and was not: a pickle can run any code; save the weights alone "
            "where it was made (torch.save(model.state_dict(), ...))"
        )
    if "allocate memory" in text or "Cannot allocate" in text:
        return f"needs more than {_TIMES} times its own size of memory: it is damaged, or made to"
    reason = text.rpartition("WeightsUnpickler error: ")[2].partition(". ")[0][:200] or type(error).__name__
    return f"is no readable PyTorch checkpoint ({reason}): it may be truncated; fetch it anew, or save a state_dict"


def _check_records(source: Path) -> None:
    """Refuse an archive with a damaged record, which torch would not notice, or a compressed one."""
    try:
        with zipfile.ZipFile(source) as archive:
            if any("/code/" in item.filename for item in archive.infolist()):
                raise Refusal(_SCRIPT)
            packed = next((item for item in archive.infolist() if item.compress_type != zipfile.ZIP_STORED), None)
            if packed is not None:
                raise Refusal(
                    f"has the record {packed.filename!r} compressed, which torch.save never does: save it anew"
                )
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise Refusal(f"is no readable PyTorch checkpoint ({error}): it may be truncated; fetch it anew") from None
    if bad is not None:
        raise Refusal(f"has a damaged record {bad!r} (its checksum differs): fetch it anew")


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _entries(root: object, found: Mapping[str, Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Every dictionary of tensors: its key, how many tensors of which types, and how many values."""
    rows = []
    for path, entries in found.items():
        own = [value for value in entries.values() if _is_tensor(value)]
        kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in own})
        rows.append({"key": path, "tensors": len(own), "values": sum(t.numel() for t in own), "types": kinds})
    return rows


def _left_out(root: Any, found: Mapping[str, Mapping[Any, Any]], path: str) -> dict[str, str]:
    """Kinds of what is left out, by key: entries beside the dictionary that is, and those in it that are no tensors."""
    outer = path.partition(".")[0]
    left = {} if path == "" else {str(key): _kind(value) for key, value in root.items() if key != outer}
    prefix = f"{path}." if path else ""
    return left | {f"{prefix}{key}": _kind(value) for key, value in found[path].items() if not _is_tensor(value)}


def _kind(value: object) -> str:
    text = f"{type(value).__name__} {value!r}" if isinstance(value, bool | int | float | str) else type(value).__name__
    return text[:80]


def _sha256(source: Path) -> str:
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _separate(tensors: Mapping[str, torch.Tensor], most: int) -> tuple[dict[str, torch.Tensor], list[list[str]]]:
    """Tensors as safetensors has them, each with memory of its own, and the groups of names that shared some.

    Parameters
    ----------
    tensors : mapping
    most : int
        Bytes that all of them may take.
    """
    import torch

    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested:
            raise Refusal(f"has a tensor {name!r} that is sparse, quantized, nested or without values: save it dense")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > most:
        raise Refusal(
            "has tensors of much more bytes than the file itself, which repeat its values: save them as they are"
        )
    places: dict[int, list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        if tensor.numel():
            places[tensor.untyped_storage().data_ptr()].append(name)
    shared = [names for names in places.values() if len(names) > 1]
    among = {name for names in shared for name in names}
    made = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().resolve_conj().resolve_neg()
        made[name] = plain.clone(memory_format=torch.contiguous_format) if name in among else plain.contiguous()
    return made, shared


if __name__ == "__main__":
    main()
