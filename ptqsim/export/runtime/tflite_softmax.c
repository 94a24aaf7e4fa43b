/* TFLite's softmax of 8-bit scores, in the fixed-point arithmetic of gemmlowp: words of 32 bits that saturate. */
#include "integers.h"

#define GREATEST_WORD 2147483647LL

static integer saturated(integer value) { return most(-GREATEST_WORD - 1, least(value, GREATEST_WORD)); }

/* SaturatingRoundingDoublingHighMul of two words that are not both the least. */
static integer high_of_twice(integer a, integer b) {
    integer product = a * b;
    integer nudged = product + (product >= 0 ? 1 << 30 : 1 - (1 << 30));
    return nudged >= 0 ? nudged >> 31 : -(-nudged >> 31);
}

/* RoundingDivideByPOT. */
static integer divided(integer value, int exponent) {
    integer half = ((integer)1 << exponent) >> 1;
    return value >= 0 ? (value + half) >> exponent : -((-value + half) >> exponent);
}

/* exp_on_negative_values with 5 integer bits. */
static integer exp_of_negative(integer a) {
    static const integer factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    integer rest, x, square, fourth, tail, result, remainder;
    int j;
    if (a == 0) return GREATEST_WORD;
    rest = (integer)((uint64_t)a & 0xffffff) - (1 << 24);
    x = rest * 32 + (1 << 28);
    square = high_of_twice(x, x);
    fourth = high_of_twice(square, square);
    tail = divided(high_of_twice(divided(fourth, 2) + high_of_twice(square, x), 715827883) + square, 1);
    result = saturated(1895147668 + high_of_twice(1895147668, x + tail));
    remainder = rest - a;
    for (j = 0; j < 7; j++)
        if (remainder & ((integer)1 << (24 + j))) result = high_of_twice(result, factors[j]);
    return result;
}

/* one_over_one_plus_x_for_x_in_0_1. */
static integer reciprocal_of_one_plus(integer a) {
    integer half_denominator = (a + ((integer)1 << 31)) >> 1;
    integer x = saturated(1515870810 + high_of_twice(half_denominator, -1010580540));
    int j;
    for (j = 0; j < 3; j++) {
        integer missing = saturated((1 << 29) - high_of_twice(half_denominator, x));
        x = saturated(x + saturated(high_of_twice(x, missing) * 4));
    }
    return saturated(x * 2);
}

void tflite_softmax(integer *out, const integer *scores, int n, const tflite_softmax_unit *u) {
    integer peak = scores[0], total = 0, reciprocal;
    int zeros, j;
    for (j = 1; j < n; j++) peak = most(peak, scores[j]);
    for (j = 0; j < n; j++) {
        integer difference = scores[j] - peak;
        out[j] = 0;
        if (difference >= u->least_difference)
            out[j] = exp_of_negative(high_of_twice(shift_up(difference, u->left_shift), u->multiplier));
        total += divided(out[j], 12);
    }
    zeros = 32 - bit_length(total);
    reciprocal = reciprocal_of_one_plus(shift_up(total, zeros) - ((integer)1 << 31));
    for (j = 0; j < n; j++)
        out[j] = code_by_shift(high_of_twice(reciprocal, out[j]) * u->gain_mantissa, 31 + 12 - zeros + u->gain_shift,
                               u->out);
}
