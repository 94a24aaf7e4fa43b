"""The build step that pyproject.toml cannot express: a wheel has the repository's ``analysis`` as ``ptqsim.analysis``.

Metadata and packages are in pyproject.toml. An editable install leaves the tree as it is, with ``analysis`` beside
``ptqsim``.
"""

from __future__ import annotations

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py


class BuildWithAnalysis(build_py):
    """Build ``ptqsim``, with the files of ``analysis`` as its sub-package unless the install is editable."""

    def finalize_options(self) -> None:
        """Add the packages and data of ``analysis``."""
        super().finalize_options()
        if self.editable_mode:
            return
        inner = [f"ptqsim.{name}" for name in find_namespace_packages(include=["analysis", "analysis.*"])]
        self.packages = [*self.packages, *inner]
        self.package_dir = {**self.package_dir, "ptqsim.analysis": "analysis"}
        self.package_data = {**self.package_data, "ptqsim.analysis": ["py.typed", "report/assets/*"]}


setup(cmdclass={"build_py": BuildWithAnalysis})
