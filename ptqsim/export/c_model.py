"""A plan as a program in C99: one network, its constants, the units, and a main that reads images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import prod
from pathlib import Path

from ptqsim.common import files as written
from ptqsim.datapath.spec import Accumulator
from ptqsim.export.arena import places
from ptqsim.export.steps_in_c import StepsInC
from ptqsim.integer_only import Plan
from ptqsim.integer_only.plan import PIXELS
from ptqsim.integer_only.steps import DEFAULT

RUNTIME = ("units.h", "integers.h", "units.c", "softmaxes.c", "tflite_softmax.c", "main.c", "Makefile")


@dataclass(frozen=True)
class CModel:
    """Files of a program.

    Attributes
    ----------
    files : dict of str to str
        Text by file name.
    arena : int
        64-bit integers that all edges of one image need together.
    """

    files: dict[str, str]
    arena: int


def write_c_model(plan: Plan, folder: Path, accumulators: Mapping[str, Accumulator] | None = None) -> CModel:
    """Write a plan as a self-contained program in C99.

    Parameters
    ----------
    plan : Plan
        The network.
    folder : path
        Where the files go; it is made if it is not there.
    accumulators : mapping of str to Accumulator, optional
        As for `ptqsim.integer_only.execute`.

    Raises
    ------
    ValueError
        If a unit or an accumulator has no form in C.
    """
    model = c_model(plan, accumulators)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in model.files.items():
        written.write(folder / name, text.encode())
    return model


def c_model(plan: Plan, accumulators: Mapping[str, Accumulator] | None = None) -> CModel:
    """The files of the program, not written; arguments and errors as for `write_c_model`."""
    chosen = {step.name: (accumulators or {}).get(step.name, DEFAULT) for step in plan.products()}
    offsets, size = places(plan)
    steps = StepsInC(plan, chosen, offsets)
    body = []
    for step in plan.steps:
        count = prod(plan.edges[step.name].shape)
        body.append(f"/* {plan.edges[step.name]} */".replace("*/ */", "*/"))
        body += steps.statements(step)
        body.append(f'if (traced) show("{step.name}", arena + {offsets[step.name]}, {count});')
    pixels, logits = prod(plan.image), prod(plan.edges[plan.output].shape)
    room = max(prod(edge.shape) for edge in plan.edges.values())
    network = _NETWORK.format(
        arena=size,
        room=room,
        pixels=pixels,
        first=offsets[PIXELS],
        last=offsets[plan.output],
        logits=logits,
        body="\n    ".join(body),
    )
    constants = "\n".join(['#include "units.h"', "", *steps.constants.lines, ""])
    header = _HEADER.format(pixels=pixels, logits=logits)
    runtime = {name: (files("ptqsim.export") / "runtime" / name).read_text(encoding="utf-8") for name in RUNTIME}
    readme = _README.format(
        shape=" x ".join(map(str, plan.image)), pixels=pixels, logits=logits, scale=plan.logit_scale
    )
    made = {"network.h": header, "network.c": network, "constants.h": constants, "README.md": readme}
    return CModel(runtime | made, size)


_HEADER = """\
/* One network, from the pixels of an image to integer logits. */
#ifndef PTQSIM_NETWORK_H
#define PTQSIM_NETWORK_H

#include "units.h"

#define PIXELS {pixels}
#define LOGITS {logits}

/* With `traced`, every edge is printed too: its name, and its integers or codes in C order. */
void run_network(const uint8_t *pixels, integer *logits, int traced);

#endif
"""

_NETWORK = """\
/* See network.h. Every step reads and writes places of one array; no two edges that live at a time overlap. */
#include "network.h"

#include <stdio.h>

#include "constants.h"

static integer arena[{arena}];
static integer room0[{room}], room1[{room}];

void align(integer *out, const integer *codes, int count, const format *f);
void align(integer *out, const integer *codes, int count, const format *f) {{
    int j;
    for (j = 0; j < count; j++) out[j] = aligned(codes[j], f);
}}

#define PRODUCT(name, type)                                                                                      \\
    void name(integer *out, const integer *left, const type *weights, int rows, int columns, int depth,         \\
              const accumulator *acc);                                                                           \\
    void name(integer *out, const integer *left, const type *weights, int rows, int columns, int depth,         \\
              const accumulator *acc) {{                                                                          \\
        int i, j, k;                                                                                             \\
        for (i = 0; i < rows; i++)                                                                               \\
            for (j = 0; j < columns; j++) {{                                                                      \\
                integer sum = 0;                                                                                 \\
                for (k = 0; k < depth; k++) {{                                                                    \\
                    sum += left[i * depth + k] * weights[j * depth + k];                                         \\
                    if (acc->by_step) sum = bounded(sum, acc);                                                   \\
                }}                                                                                                \\
                out[i * columns + j] = bounded(sum, acc);                                                        \\
            }}                                                                                                    \\
    }}

PRODUCT(product_8, int8_t)
PRODUCT(product_16, int16_t)
PRODUCT(product_32, int32_t)
PRODUCT(product_64, int64_t)

void product(integer *out, const integer *left, const integer *right, int count, int rows, int columns, int depth,
             int next, int within, const accumulator *acc);
void product(integer *out, const integer *left, const integer *right, int count, int rows, int columns, int depth,
             int next, int within, const accumulator *acc) {{
    int m, i, j, k;
    for (m = 0; m < count; m++, left += rows * depth, right += columns * depth, out += rows * columns)
        for (i = 0; i < rows; i++)
            for (j = 0; j < columns; j++) {{
                integer sum = 0;
                for (k = 0; k < depth; k++) {{
                    sum += left[i * depth + k] * right[j * next + k * within];
                    if (acc->by_step) sum = bounded(sum, acc);
                }}
                out[i * columns + j] = bounded(sum, acc);
            }}
}}

void move(integer *out, const integer *from, const int32_t *table, int count);
void move(integer *out, const integer *from, const int32_t *table, int count) {{
    int j;
    for (j = 0; j < count; j++) out[j] = table[j] < 0 ? 0 : from[table[j]];
}}

void total(integer *out, const integer *x, int before, int count, int after);
void total(integer *out, const integer *x, int before, int count, int after) {{
    int i, j, k;
    for (i = 0; i < before; i++)
        for (j = 0; j < after; j++) {{
            integer sum = 0;
            for (k = 0; k < count; k++) sum += x[(i * count + k) * after + j];
            out[i * after + j] = sum;
        }}
}}

static void show(const char *name, const integer *x, int count) {{
    int j;
    printf("%s", name);
    for (j = 0; j < count; j++) printf(" %lld", (long long)x[j]);
    printf("\\n");
}}

void run_network(const uint8_t *pixels, integer *logits, int traced) {{
    int j, row = 0;
    (void)room0, (void)room1, (void)row;
    for (j = 0; j < {pixels}; j++) (arena + {first})[j] = pixels[j];
    {body}
    for (j = 0; j < {logits}; j++) logits[j] = (arena + {last})[j];
}}
"""

_README = """\
# A network in C99, in integers alone

From 8-bit pixels to integer logits: no fractions, no heap, no library but the C standard's for reading and printing.
`network.c` is the network, `constants.h` its constants, `units.h` its units. Every integer equals that of
`ptqsim`'s integer-only mode.

    make            # the program `network`
    make check      # `network_checked`, which stops at undefined behavior
    ./network images.bin           # logits, one line for each image
    ./network --trace images.bin   # every edge too, by name

`images.bin` has images of {shape} pixels, {pixels} bytes each, channel by channel. The {logits} logits count in
units of {scale!r}.

As a golden model, `run_network` of `network.h` takes an image and gives its logits; it keeps its arrays between calls,
so that one call runs at a time.
"""
