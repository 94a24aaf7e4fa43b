/* Recomputes every output and the trace of golden vectors from the header alone, in C: an oracle that shares nothing with
 * ptqsim but the conventions in the manifest.  Prints what differs; exit status 0 if nothing does. */
#include <stdio.h>

#include "vectors.h"

#ifndef GOLDEN_ZERO_POINT /* headers say it of a correction only, and the others of formats that have them */
#define GOLDEN_ZERO_POINT 0
#endif
#ifndef GOLDEN_A_ZERO_POINT
#define GOLDEN_A_ZERO_POINT 0
#define GOLDEN_A_SIGNED 1
#endif
#ifndef GOLDEN_B_ZERO_POINT
#define GOLDEN_B_ZERO_POINT 0
#define GOLDEN_B_SIGNED 1
#endif
#ifndef GOLDEN_INNER_OVERFLOW
#define GOLDEN_INNER_OVERFLOW GOLDEN_OVERFLOW
#endif
#define A_LEFT (GOLDEN_ZERO_POINT ? GOLDEN_A_ZERO_POINT : 0) /* what products still have of the zero points */
#define B_LEFT (GOLDEN_ZERO_POINT ? GOLDEN_B_ZERO_POINT : 0)
#define MATRIX(array, batch, rows, columns) ((array) + (int64_t)(batch) * (rows) * (columns))

typedef struct { int64_t mantissa; int shift, range; } operand;
typedef struct { int found; int64_t step; int reg, bits; } event;

#ifndef GOLDEN_A_MANTISSA_BITS
#define GOLDEN_A_MANTISSA_BITS 0
#endif
#ifndef GOLDEN_B_MANTISSA_BITS
#define GOLDEN_B_MANTISSA_BITS 0
#endif

static int failures, trace_row;
static event first;

static void report(const char *what, int64_t where, int64_t got, int64_t expected) {
    if (failures++ < 5) printf("%s %lld: %lld, expected %lld\n", what, (long long)where, (long long)got, (long long)expected);
}

#ifdef GOLDEN_A_ROOT
#define A_ROOT GOLDEN_A_ROOT
static const int64_t a_fractions[] = {
    GOLDEN_A_FRACTION_0, GOLDEN_A_FRACTION_1,
#if GOLDEN_A_ROOT == 4
    GOLDEN_A_FRACTION_2, GOLDEN_A_FRACTION_3,
#endif
};
#else
#define A_ROOT 1
static const int64_t a_fractions[] = {1};
#endif
#ifdef GOLDEN_B_ROOT
#define B_ROOT GOLDEN_B_ROOT
static const int64_t b_fractions[] = {
    GOLDEN_B_FRACTION_0, GOLDEN_B_FRACTION_1,
#if GOLDEN_B_ROOT == 4
    GOLDEN_B_FRACTION_2, GOLDEN_B_FRACTION_3,
#endif
};
#else
#define B_ROOT 1
static const int64_t b_fractions[] = {1};
#endif

static operand decode(unsigned code, int format, int bits, int shift, int is_signed, int zero_point, int mantissa_bits, unsigned root, const int64_t *fractions) {
    unsigned half = 1u << (bits - 1);
    operand x = {0, 0, 0};
    if (format == 0) x.mantissa = (is_signed && code >= half ? (int64_t)code - 2 * (int64_t)half : (int64_t)code) - zero_point;
    else if (format == 3) x.mantissa = code == 2 * half - 1 ? 0 : fractions[code % root] << ((2 * half - 2) / root - code / root);
    else if (format == 4) { /* sign, exponent, fraction */
        int64_t field = (code & (half - 1)) >> mantissa_bits, implied = (int64_t)1 << mantissa_bits;
        int64_t significand = (code & (implied - 1)) + (field ? implied : 0);
        x.mantissa = (significand << (field ? field - 1 : 0)) * (code & half ? -1 : 1);
    }
    else if (code >= half) x = (operand){code - half, shift, 1};
    else x.mantissa = format == 1 ? (int64_t)code : -(int64_t)code;
    return x;
}

/* One addition; records an event, and compares with the trace if this is the traced output. */
static int64_t add(int64_t before, int64_t term, int bits, int reg, int64_t step, int ra, int rb, int64_t exact, int traced) {
    int64_t high = ((int64_t)1 << (bits - 1)) - 1, low = -high - 1, sum = before + term, after = sum;
    int overflows = sum < low || sum > high, overflow = reg ? GOLDEN_INNER_OVERFLOW : GOLDEN_OVERFLOW;
    if (overflows && overflow == 0) {
        after = (int64_t)((uint64_t)sum & (((uint64_t)1 << bits) - 1));
        if (after > high) after -= (int64_t)1 << bits;
    }
    if (overflows && overflow == 1) after = sum > high ? high : low;
    if (overflows && (!first.found || step < first.step || (step == first.step && reg > first.reg)))
        first = (event){1, step, reg, bits};
    if (traced) {
        int64_t mine[GOLDEN_TRACE_COLUMNS] = {step, reg, ra, rb, overflows, before, term, after, exact};
        for (int c = 0; c < GOLDEN_TRACE_COLUMNS; c++) {
            int64_t expected = trace_row < GOLDEN_TRACE_STEPS ? golden_trace[trace_row * GOLDEN_TRACE_COLUMNS + c] : -99;
            if (mine[c] != expected) report("trace", trace_row * 100 + c, mine[c], expected);
        }
        trace_row++;
    }
    return after;
}

static int64_t accumulate(const int64_t *p, int64_t constant, int64_t rest, int ra, int rb, int traced) {
    int64_t reg = 0, exact = 0;
    if (A_LEFT) exact = constant, reg = add(reg, constant, GOLDEN_ACCUMULATOR_BITS, 0, -1, ra, rb, exact, traced);
    for (int64_t start = 0; start < GOLDEN_K; start += GOLDEN_ORDER_GROUP) {
        int64_t end = start + GOLDEN_ORDER_GROUP < GOLDEN_K ? start + GOLDEN_ORDER_GROUP : GOLDEN_K;
        int64_t term = 0, exact_term = 0;
        for (int64_t l = start; l < end; l++) {
            exact_term += p[l];
#if GOLDEN_ORDER == 2
            term = add(term, p[l], GOLDEN_INNER_BITS, 1, l, ra, rb, exact_term, traced);
#else
            term += p[l];
#endif
        }
        exact += exact_term;
        reg = add(reg, term, GOLDEN_ACCUMULATOR_BITS, 0, end - 1, ra, rb, exact, traced);
    }
    if (B_LEFT) exact += rest, reg = add(reg, rest, GOLDEN_ACCUMULATOR_BITS, 0, GOLDEN_K, ra, rb, exact, traced);
    return reg;
}

int main(void) {
    int64_t element = 0, p[GOLDEN_K];
    operand x[GOLDEN_K], w[GOLDEN_K];
    for (int batch = 0; batch < GOLDEN_BATCHES; batch++)
        for (int i = 0; i < GOLDEN_M; i++)
            for (int j = 0; j < GOLDEN_N; j++, element++) {
                int traced = element == GOLDEN_TRACE_ELEMENT;
                int64_t out = 0;
                first.found = 0;
                for (int l = 0; l < GOLDEN_K; l++) {
                    unsigned a = MATRIX(golden_a, batch, GOLDEN_M, GOLDEN_K)[i * GOLDEN_K + l];
                    unsigned b = MATRIX(golden_b, batch, GOLDEN_K, GOLDEN_N)[l * GOLDEN_N + j];
                    x[l] = decode(a, GOLDEN_A_FORMAT, GOLDEN_A_BITS, GOLDEN_A_SHIFT, GOLDEN_A_SIGNED, GOLDEN_A_ZERO_POINT, GOLDEN_A_MANTISSA_BITS, A_ROOT, a_fractions);
                    w[l] = decode(b, GOLDEN_B_FORMAT, GOLDEN_B_BITS, GOLDEN_B_SHIFT, GOLDEN_B_SIGNED, GOLDEN_B_ZERO_POINT, GOLDEN_B_MANTISSA_BITS, B_ROOT, b_fractions);
                }
#if GOLDEN_ALIGNMENT == 2
                for (int pair = 0; pair < 4; pair++) {
                    int ra = pair / 2, rb = pair % 2, used = 0;
                    int64_t constant = 0, rest = 0;
                    for (int l = 0; l < GOLDEN_K; l++) {
                        int mine = x[l].range == ra && w[l].range == rb;
                        used |= mine;
                        p[l] = mine ? (x[l].mantissa + A_LEFT) * (w[l].mantissa + B_LEFT) : 0;
                        constant -= mine ? A_LEFT * w[l].mantissa : 0;
                        rest -= mine ? B_LEFT * (x[l].mantissa + A_LEFT) : 0;
                    }
                    int shift = (ra ? GOLDEN_A_SHIFT : 0) + (rb ? GOLDEN_B_SHIFT : 0);
                    if (used) out += accumulate(p, constant, rest, ra, rb, traced) * ((int64_t)1 << shift);
                }
#else
                int64_t constant = 0, rest = 0;
                for (int l = 0; l < GOLDEN_K; l++) {
                    int64_t a = x[l].mantissa * ((int64_t)1 << x[l].shift) + A_LEFT;
                    int64_t b = w[l].mantissa * ((int64_t)1 << w[l].shift) + B_LEFT;
                    p[l] = a * b;
                    constant -= A_LEFT * (b - B_LEFT);
                    rest -= B_LEFT * a;
                }
                out = accumulate(p, constant, rest, 0, 0, traced);
#endif
#if GOLDEN_TRAPPED
                if (first.found != (element >= GOLDEN_TRAP_ELEMENT) && element <= GOLDEN_TRAP_ELEMENT)
                    report("event in", element, first.found, !first.found);
                if (element == GOLDEN_TRAP_ELEMENT) {
                    if (first.step != GOLDEN_TRAP_STEP) report("step", element, first.step, GOLDEN_TRAP_STEP);
                    if (first.reg != GOLDEN_TRAP_REGISTER) report("register", element, first.reg, GOLDEN_TRAP_REGISTER);
                    if (first.bits != GOLDEN_TRAP_BITS) report("bits", element, first.bits, GOLDEN_TRAP_BITS);
                }
                (void)out;
#else
                if (GOLDEN_OVERFLOW == 2 && first.found) report("event in", element, 1, 0);
                if (out != golden_acc[element]) report("acc", element, out, golden_acc[element]);
#endif
            }
    if (trace_row != GOLDEN_TRACE_STEPS) report("trace steps", 0, trace_row, GOLDEN_TRACE_STEPS);
    return failures != 0;
}
