"""The definition of a study, validated: axes, conditions between them, questions, and where to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ptqsim.errors import ArgumentTypeError
from ptqsim.sweep.study.axis_values import (
    EXACT,
    METHOD,
    SEARCHED,
    AccBits,
    Aligned,
    Count,
    Flag,
    GeluUnit,
    Granular,
    LayerNormUnit,
    Mode,
    NamedFormats,
    Order,
    Overflow,
    Residual,
    ResidualRule,
    Seed,
    Shift,
    SoftmaxUnit,
    Spread,
    Width,
    one_of,
)
from ptqsim.sweep.study.expression import Condition, parse
from ptqsim.sweep.study.point import FREE

if TYPE_CHECKING:
    from ptqsim.ptq.zoo.options import ModelOptions


class Part(BaseModel):
    """A mapping of the file; a key that it doesn't know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelChoice(Part):
    """A network and its data.

    Attributes
    ----------
    name : str
        A bundled model, a short name of the papers' networks, or a model of timm.
    pretrained, checkpoint : bool, str or None
        Where a timm model has its weights from.
    img_size, num_classes, in_chans, model_kwargs : int or list of int, int, int and dict
        As for :func:`ptqsim.ptq.load_model`.
    data : str or None
        The study's by default.
    label : str or None
        What the model is called in conditions and results; its name by default.
    """

    name: str
    pretrained: bool = False
    checkpoint: str | None = None
    img_size: int | list[int] | None = None
    num_classes: int | None = None
    in_chans: int | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    data: str | None = None
    label: str | None = None

    @property
    def called(self) -> str:
        """Name in conditions and results."""
        return self.label or self.name

    @property
    def options(self) -> ModelOptions:
        """The options that the network is made with."""
        from ptqsim.ptq.zoo.options import ModelOptions

        return ModelOptions.of(
            img_size=self.img_size,
            num_classes=self.num_classes,
            in_chans=self.in_chans,
            model_kwargs=self.model_kwargs,
        )

    @model_validator(mode="after")
    def _makeable(self) -> ModelChoice:
        try:
            self.options  # noqa: B018 - for what it raises
        except ArgumentTypeError as error:  # pydantic takes ValueErrors only for findings
            raise ValueError(str(error)) from None
        return self

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        from ptqsim.ptq.zoo.names import timm_name

        timm_name(name)
        return name


class MethodChoice(Part):
    """A calibration method with its options; ``label`` is what it is called in conditions and results."""

    name: str
    variant: str = "paper"
    options: dict[str, Any] = Field(default_factory=dict)
    label: str | None = None

    @property
    def called(self) -> str:
        """Name in conditions and results: the label, or the name with what differs from its defaults."""
        if self.label is not None:
            return self.label
        given = [] if self.variant == "paper" else [self.variant]
        given += [f"{name}={value}" for name, value in self.options.items()]
        return f"{self.name}({', '.join(given)})" if given else self.name

    @model_validator(mode="after")
    def _known(self) -> MethodChoice:
        from ptqsim.ptq.calibration.methods import make_method

        try:
            make_method(self.name, self.options, self.variant)
        except ArgumentTypeError as error:  # pydantic takes ValueErrors only for findings
            raise ValueError(str(error)) from None
        return self


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Axes(Part):
    """The axes, each a list of values; the grid is their product, less what the conditions take out."""

    model: Annotated[list[Annotated[ModelChoice, BeforeValidator(_named)]], Spread]
    method: Annotated[list[Annotated[MethodChoice, BeforeValidator(_named)]], Spread]
    w_bits: Annotated[list[Width], Spread] = [8]
    a_bits: Annotated[list[Width], Spread] = [8]
    w_granularity: Annotated[list[Granular], Spread] = ["tensor"]
    a_symmetric: Annotated[list[Flag], Spread] = [True]
    formats: Annotated[list[NamedFormats], Spread] = [METHOD]
    seed: Annotated[list[Seed], Spread] = [0]
    calibration_images: Annotated[list[Count], Spread] = [32]
    softmax_shift: Annotated[list[Shift], Spread] = [SEARCHED]
    gelu_shift: Annotated[list[Shift], Spread] = [SEARCHED]
    mode: Annotated[list[Mode], Spread] = ["integer"]
    residual_bits: Annotated[list[Residual], Spread] = [16]
    residual_scale: Annotated[list[ResidualRule], Spread] = [FREE]
    softmax: Annotated[list[SoftmaxUnit], Spread] = ["softmax"]
    gelu: Annotated[list[GeluUnit], Spread] = ["gelu"]
    layer_norm: Annotated[list[LayerNormUnit], Spread] = ["layer_norm"]
    acc_bits: Annotated[list[AccBits], Spread] = [EXACT]
    overflow: Annotated[list[Overflow], Spread] = ["wrap"]
    order: Annotated[list[Order], Spread] = ["sequential"]
    alignment: Annotated[list[Aligned], Spread] = ["product"]
    evaluation_images: Annotated[list[Count], Spread] = [500]

    @model_validator(mode="after")
    def _distinct(self) -> Axes:
        for name, values in self:
            called = [getattr(value, "called", value) for value in values]
            twice = next((value for at, value in enumerate(called) if value in called[:at]), None)
            if twice is not None:
                raise ValueError(f"axis {name!r} has {twice!r} twice: give each a label of its own, or name it once")
        return self


AXES: Final = tuple(Axes.model_fields)


class Ask(Part):
    """A question, answered by bisection: the narrowest accumulator that keeps top-1.

    Attributes
    ----------
    narrowest : {"acc_bits"}
    within : float
        Points of top-1 (percent of the images) that may be lost beside the exact accumulator on the same images.
    scope : {"network", "layer"}
        One width for all layers, or one layer narrow at a time and all others exact.
    overflow, order, alignment : lists
        The datapaths that it is asked for.
    evaluation_images : int or None
        In place of those of the axes.
    where : str or None
        Which calibrations it is asked of; all of the axes' by default.
    """

    narrowest: Annotated[str, one_of("quantity of a question", ("acc_bits",))]
    within: Annotated[float, Field(ge=0, le=100, strict=False)] = 0.1
    scope: Annotated[str, one_of("scope", ("network", "layer"))] = "network"
    overflow: Annotated[list[Overflow], Spread] = ["wrap"]
    order: Annotated[list[Order], Spread] = ["sequential"]
    alignment: Annotated[list[Aligned], Spread] = ["product"]
    evaluation_images: Count | None = None
    where: str | None = None

    @field_validator("where")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            parse(text, ASKED)
        return text


ASKED: Final = (
    "model", "method", "w_bits", "a_bits", "w_granularity", "a_symmetric", "formats", "seed", "calibration_images",
    "softmax_shift", "gelu_shift", "evaluation_images",
)  # fmt: skip
"""The axes that a question is asked for every value of; the others are its own."""


def _condition(text: object) -> object:
    if not isinstance(text, str):
        raise ValueError(f"a condition is {text!r}; legal is a text: try 'w_bits == a_bits'")
    parse(text, AXES)
    return text


Conditions = Annotated[list[Annotated[str, BeforeValidator(_condition)]], Spread]


class Cluster(Part):
    """A batch system that dask-jobqueue knows, and what it should be asked for.

    Attributes
    ----------
    kind : {"slurm", "lsf", "pbs"}
    jobs : int
        Batch jobs, each with ``processes`` workers.
    processes, memory, walltime, queue, account, interface, directives, prologue : int, str, str or None and list of str
        Of one job, see docs/sweep.md.
    """

    kind: Annotated[str, one_of("batch system", ("slurm", "lsf", "pbs"))]
    jobs: Annotated[int, Field(ge=1)] = 1
    processes: Annotated[int, Field(ge=1)] = 1
    memory: str = "4GB"
    walltime: str = "01:00:00"
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    directives: list[str] = []
    prologue: list[str] = []


class Study(Part):
    """A study file.

    Attributes
    ----------
    name : str
        Letters, digits, ``-`` and ``_``.
    description : str
    data : str
        ``digits``, ``photos`` or a folder of images.
    axes : Axes
    require, exclude : lists of str
        Conditions that every point meets, and that none does.
    ask : list of Ask
    gates : str or None
        What ``ptqsim rtl synthesize --json`` wrote, for the size of units; by default the counts of the package.
    cluster : Cluster or None
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    description: str = ""
    data: str = "digits"
    axes: Axes
    require: Conditions = []
    exclude: Conditions = []
    ask: list[Ask] = []
    gates: str | None = None
    cluster: Cluster | None = None

    def conditions(self) -> Iterator[Condition]:
        """Conditions that every point meets."""
        yield from (parse(text, AXES) for text in self.require)
        yield from (_negated(parse(text, AXES)) for text in self.exclude)


def _negated(condition: Condition) -> Condition:
    return Condition(f"not ({condition.text})", condition.names, lambda values: not condition.holds(values))


def resolved(path: str, beside: Path) -> Path:
    """A path of a study file: relative ones are beside the file."""
    return Path(path) if Path(path).is_absolute() else beside / path
