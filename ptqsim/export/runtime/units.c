/* See units.h. */
#include "integers.h"

#include <stdio.h>
#include <stdlib.h>

integer aligned(integer code, const format *f) {
    integer half = (integer)1 << (f->bits - 1);
    if (f->kind == UNIFORM) {
        integer value = f->is_signed && code >= half ? code - 2 * half : code;
        return value - f->zero_point;
    }
    if (code >= half) return shift_up(code - half, f->shift);
    return f->kind == TWIN_GELU ? -code : code;
}

static integer uniform_code(integer rounded, const format *f) {
    integer mask = ((integer)1 << f->bits) - 1;
    integer value = least(most(rounded, f->low), f->high) + f->zero_point;
    return (integer)((uint64_t)value & (uint64_t)mask);
}

static integer power_of(integer n, integer d, const format *f) {
    integer last = ((integer)1 << f->bits) - 1, exponent = 0;
    integer root = floor_root(2 * d * d, 2 * d);
    if (n <= 0) return last;
    while (n < d && exponent <= last) {
        n *= 2;
        exponent++;
    }
    if (n > root) exponent--;
    return least(most(exponent, 0), last);
}

integer code_by_shift(integer n, int shift, const format *f) {
    integer flag = (integer)1 << (f->bits - 1), top = flag - 1, first, second, wide;
    if (shift < 0) {
        n = shift_up(n, -shift);
        shift = 0;
    }
    if (f->kind == UNIFORM) return uniform_code(half_up(n, shift), f);
    if (f->kind == LOG2) return power_of(n, (integer)1 << shift, f);
    wide = shift + f->shift;
    if (f->kind == TWIN_GELU) {
        integer half = wide > 0 ? (integer)1 << (wide - 1) : 0, value;
        if (n < 0) return least(-half_up(n, shift), top);
        value = least(shift_down(n + half - (half && f->half_down), (int)wide), top);
        return value ? value | flag : 0;
    }
    n = most(n, 0);
    if (f->kind == TWIN_SOFTMAX) {
        if (n >> shift < flag) return least(half_up(n, shift), top);
        second = least(half_up(n, (int)wide), top);
        return second > top >> f->shift ? second | flag : second;
    }
    first = least(shift > 0 ? (n + ((integer)1 << (shift - 1)) - 1) >> shift : n, top);
    second = least(wide > 0 ? (n + ((integer)1 << (wide - 1)) - 1) >> wide : n, top);
    return magnitude_of(n - shift_up(second, (int)wide)) < magnitude_of(n - shift_up(first, shift)) ? second | flag
                                                                                                  : first;
}

integer code_by_quotient(integer n, integer d, const format *f) {
    integer flag = (integer)1 << (f->bits - 1), top = flag - 1, first, second, wide;
    if (f->kind == UNIFORM) return uniform_code(floor_divide(2 * n + d, 2 * d), f);
    if (f->kind == LOG2) return power_of(n, d, f);
    wide = shift_up(d, f->shift);
    if (f->kind == TWIN_GELU) {
        integer value;
        if (n < 0) return least(-floor_divide(2 * n + d, 2 * d), top);
        value = least((2 * n + wide - f->half_down) / (2 * wide), top);
        return value ? value | flag : 0;
    }
    n = most(n, 0);
    if (f->kind == TWIN_SOFTMAX) {
        if (n < shift_up(d, f->bits - 1)) return least((2 * n + d) / (2 * d), top);
        second = least((2 * n + wide) / (2 * wide), top);
        return second > top >> f->shift ? second | flag : second;
    }
    first = least((2 * n + d - 1) / (2 * d), top);
    second = least((2 * n + wide - 1) / (2 * wide), top);
    return magnitude_of(n - second * wide) < magnitude_of(n - first * d) ? second | flag : first;
}

integer bounded(integer sum, const accumulator *acc) {
    integer high = ((integer)1 << (acc->bits - 1)) - 1, low = -high - 1;
    if (sum >= low && sum <= high) return sum;
    if (acc->overflow == SATURATE) return sum < low ? low : high;
    if (acc->overflow == TRAP) {
        fprintf(stderr, "an accumulator of %d bits overflowed\n", acc->bits);
        exit(3);
    }
    sum &= (integer)(((uint64_t)1 << acc->bits) - 1);
    return sum > high ? sum - ((integer)1 << acc->bits) : sum;
}

void rescale(integer *out, const integer *acc, int n, const rescale_unit *u) {
    int j;
    for (j = 0; j < n; j++)
        out[j] = code_by_shift((acc[j] + at(u->bias, j)) * at(u->mantissa, j), (int)at(u->shift, j), u->out);
}

void residual_add(integer *out, const integer *x, const integer *acc, int n, const residual_unit *u) {
    int j;
    for (j = 0; j < n; j++)
        out[j] = code_by_shift(x[j] * at(u->m1, j) + (acc[j] + at(u->bias, j)) * at(u->m2, j), u->shift, u->out);
}

void layer_norm(integer *out, const integer *x, int n, const layer_norm_unit *u) {
    integer total = 0, squares = 0, variance, radicand, reciprocal;
    int p = u->precision, spare, exponent, shift, j;
    for (j = 0; j < n; j++) {
        total += x[j];
        squares += x[j] * x[j];
    }
    variance = most(n * squares - total * total + u->epsilon, 1);
    spare = 2 * p - bit_length(variance);
    exponent = spare - (spare % 2 + 2) % 2;
    radicand = exponent >= 0 ? variance << exponent : variance >> -exponent;
    reciprocal = ((integer)1 << (2 * p - 1)) / floor_root(radicand, (integer)1 << p);
    shift = 2 * p - 1 - exponent / 2 - u->fraction;
    for (j = 0; j < n; j++) {
        integer normalized = half_up((n * x[j] - total) * reciprocal, shift);
        out[j] = code_by_shift(normalized * at(u->gain, j) + at(u->offset, j), u->fraction + u->gain_fraction, u->out);
    }
}

/* x times a sigmoid, by I-ViT; `out` has the pre-activations. */
static void shift_gelu(integer *out, int n, const activation_unit *u) {
    integer peak = 0, of_zero;
    int j;
    for (j = 0; j < n; j++) {
        integer x = out[j], m = x + shift_down(x, 1) + shift_down(x, 3) + shift_down(x, 4);
        peak = j == 0 ? m : most(peak, m);
    }
    of_zero = shift_exp(-peak, u->inverse_step, u->exp_shift);
    for (j = 0; j < n; j++) {
        integer x = out[j], m = x + shift_down(x, 1) + shift_down(x, 3) + shift_down(x, 4);
        integer e = shift_exp(m - peak, u->inverse_step, u->exp_shift), total = e + of_zero;
        integer sigmoid = (shift_up(e, u->sigmoid_bits + 1) + total) / (2 * total);
        out[j] = code_by_shift(x * sigmoid * u->out_mantissa, u->out_shift, u->out);
    }
}

/* x (1 + erf) with erf as a square, by I-BERT; `out` has the pre-activations. */
static void i_gelu(integer *out, int n, const activation_unit *u) {
    int j;
    for (j = 0; j < n; j++) {
        integer x = out[j], base = least(magnitude_of(x), -u->vertex) + u->vertex;
        integer polynomial = base * base + u->constant, erf = x > 0 ? polynomial : -polynomial;
        out[j] = code_by_shift(-x * (erf + u->one) * u->out_mantissa, u->out_shift, u->out);
    }
}

void activate(integer *out, const integer *acc, int n, const activation_unit *u) {
    int j;
    rescale(out, acc, n, &u->rescale);
    if (u->kind == TABLE) {
        for (j = 0; j < n; j++) out[j] = u->table[out[j]];
        return;
    }
    for (j = 0; j < n; j++) out[j] = aligned(out[j], u->rescale.out);
    if (u->kind == SHIFT_GELU)
        shift_gelu(out, n, u);
    else
        i_gelu(out, n, u);
}
