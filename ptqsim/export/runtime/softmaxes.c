/* Softmax over rows of scores, in every formulation. */
#include "integers.h"

/* Halvings of ITA for a distance. */
static int halvings(integer distance, integer limit, const softmax_unit *u) {
    return (int)least(half_up(distance * u->mantissa, u->shift), limit);
}

static integer exponential(integer distance, const softmax_unit *u) {
    integer whole, position;
    if (u->kind == SHIFTMAX) return shift_exp(-distance, u->mantissa, u->shift);
    if (u->kind == I_EXP) {
        integer within = least(distance, u->shift * u->mantissa), base;
        whole = within / u->mantissa;
        base = whole * u->mantissa - within + u->vertex;
        return (base * base + u->constant) >> whole;
    }
    if (u->kind == ITA) return ((integer)1 << u->amplitude_bits) >> halvings(distance, u->amplitude_bits + 1, u);
    position = half_up(distance * u->mantissa, u->shift);
    if (position >= ((integer)1 << u->position_bits) - 1) return 0;
    whole = position >> u->fraction_bits;
    return half_up(u->table[position & (((integer)1 << u->fraction_bits) - 1)], (int)whole);
}

/* The sum of ITA over parts of a row, shifted whenever the greatest score so far rises. */
static integer total_of_parts(const integer *scores, int n, const softmax_unit *u) {
    integer peak = scores[0], total = 0;
    int size = u->part > 0 ? u->part : n, first, j;
    for (first = 0; first < n; first += size) {
        int end = (int)least(first + size, n);
        integer greater = peak;
        for (j = first; j < end; j++) greater = most(greater, scores[j]);
        total >>= halvings(greater - peak, 62, u);
        peak = greater;
        for (j = first; j < end; j++)
            total += ((integer)1 << u->amplitude_bits) >> halvings(peak - scores[j], u->amplitude_bits + 1, u);
    }
    return total;
}

/* The least whole power of two that is not below an exponential, and the exponential halved so that its power is `peak`. */
static integer power_of_score(integer score, const softmax_unit *u) {
    return -shift_down(-half_up(score * u->mantissa, u->shift), u->fraction_bits);
}

static integer halved_score(integer score, integer peak, const softmax_unit *u) {
    integer position = half_up(score * u->mantissa, u->shift), power = power_of_score(score, u);
    integer entry = u->table[shift_up(power, u->fraction_bits) - position];
    return half_up(entry, (int)least(peak - power, u->amplitude_bits));
}

/* Exponentials in `out`, relative to a running maximum over parts of a row; the sum is returned. */
static integer running(integer *out, const integer *scores, int n, const softmax_unit *u) {
    integer peak = power_of_score(scores[0], u), total = 0;
    int size = u->part > 0 ? u->part : n, first, j;
    for (first = 0; first < n; first += size) {
        int end = (int)least(first + size, n);
        integer greater = peak;
        for (j = first; j < end; j++) greater = most(greater, power_of_score(scores[j], u));
        total = half_up(total, (int)least(greater - peak, 62));
        peak = greater;
        for (j = first; j < end; j++) total += halved_score(scores[j], peak, u);
    }
    for (j = 0; j < n; j++) out[j] = halved_score(scores[j], peak, u);
    return total;
}

/* Codes of the quotients of exponentials, which are in `out`, by their sum. */
static void divide(integer *out, integer total, int n, const softmax_unit *u) {
    int j;
    if (u->exact) {
        integer divisor = shift_up(total, u->gain_shift > 0 ? u->gain_shift : 0);
        for (j = 0; j < n; j++) {
            integer scaled = shift_up(out[j] * u->gain_mantissa, u->gain_shift < 0 ? -u->gain_shift : 0);
            out[j] = code_by_quotient(scaled, divisor, u->out);
        }
    } else {
        integer reciprocal = ((integer)1 << u->reciprocal_bits) / total;
        for (j = 0; j < n; j++)
            out[j] = code_by_shift(out[j] * reciprocal * u->gain_mantissa, u->reciprocal_bits + u->gain_shift, u->out);
    }
}

void softmax(integer *out, const integer *scores, int n, const softmax_unit *u) {
    integer peak = scores[0], total = 0;
    int j;
    if (u->kind == RUNNING) {
        divide(out, running(out, scores, n, u), n, u);
        return;
    }
    if (u->kind == ITA) total = total_of_parts(scores, n, u);
    for (j = 1; j < n; j++) peak = most(peak, scores[j]);
    for (j = 0; j < n; j++) {
        out[j] = exponential(peak - scores[j], u);
        if (u->kind != ITA) total += out[j];
    }
    divide(out, total, n, u);
}
