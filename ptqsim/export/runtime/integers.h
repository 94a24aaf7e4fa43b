/* Shifts, quotients and roots of integers, as units need them. */
#ifndef PTQSIM_INTEGERS_H
#define PTQSIM_INTEGERS_H

#include "units.h"

static inline integer at(per_channel p, int j) { return p.values[p.count == 1 ? 0 : j]; }

static inline integer least(integer a, integer b) { return a < b ? a : b; }

static inline integer most(integer a, integer b) { return a > b ? a : b; }

static inline integer magnitude_of(integer a) { return a < 0 ? -a : a; }

/* x / 2^s, rounded down. */
static inline integer shift_down(integer x, int s) { return x >= 0 ? x >> s : ~(~x >> s); }

/* x * 2^s. */
static inline integer shift_up(integer x, int s) { return x * ((integer)1 << s); }

/* x / 2^s to the nearest integer, a half toward positive infinity; s may be negative. */
static inline integer half_up(integer x, int s) {
    return s > 0 ? shift_down(x + ((integer)1 << (s - 1)), s) : shift_up(x, -s);
}

/* a / b, rounded down, for a positive b. */
static inline integer floor_divide(integer a, integer b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

static inline int bit_length(integer x) {
    int bits = 0;
    for (; x > 0; x >>= 1) bits++;
    return bits;
}

/* The floor of a root, by Newton's iteration from a start that is not below it. */
static inline integer floor_root(integer radicand, integer start) {
    integer root = start;
    for (;;) {
        integer following = (root + radicand / root) >> 1;
        if (following >= root) return root;
        root = following;
    }
}

/* ShiftExp of I-ViT. */
static inline integer shift_exp(integer score, integer inverse_step, int shift) {
    integer magnified = most(score + shift_down(score, 1) - shift_down(score, 4), -shift * inverse_step);
    integer whole = floor_divide(-magnified, inverse_step), rest = -magnified - whole * inverse_step;
    return shift_up(inverse_step + shift_down(-rest, 1), shift - (int)whole);
}

#endif
