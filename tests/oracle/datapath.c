/* The datapath, one addition at a time, written from its specification and from nothing else. It shares no code and no
 * idea of a bound with the simulator: every product is formed from two codes and added, and every sum is looked at. */

#include <stdint.h>

enum kind { UNIFORM, SOFTMAX, GELU };
enum overflow { WRAP, SATURATE, TRAP };

struct format { int32_t kind, bits, shift, is_unsigned, zero_point; };
struct operand { int64_t mantissa; int shift, range; };

struct datapath {
    int32_t bits, overflow;
    int32_t group;      /* products per addition into the register of `bits` bits */
    int32_t inner_bits; /* width of the tile register of a split order, else 0 */
    int32_t inner_overflow;
    int32_t deferred;   /* a register per pair of ranges, shifted and summed at the end */
    int32_t corrected;  /* zero points are made up for in the registers, and not subtracted before the product */
};

struct statistics {
    int64_t steps, events, outputs, first_output, first_step;
    int64_t lowest, highest, inner_lowest, inner_highest;
};

static struct operand decode(uint16_t code, struct format f)
{
    int64_t half = (int64_t)1 << (f.bits - 1);
    int64_t magnitude = code % half;
    struct operand x = {code, 0, 0};
    if (f.kind == UNIFORM) {
        if (code >= half && !f.is_unsigned) x.mantissa = code - 2 * half;
        x.mantissa -= f.zero_point;
    } else if (code >= half) {
        x.mantissa = magnitude;
        x.shift = f.shift;
        x.range = 1;
    } else {
        x.mantissa = f.kind == GELU ? -magnitude : magnitude;
    }
    return x;
}

struct accumulator { int64_t held, exact; };

/* One addition; whether the sum did not fit. A sum never leaves 64 bits: register and term have 63 at most. */
static int add(struct accumulator *r, int64_t term, int64_t exact_term, int bits, int overflow)
{
    int64_t low = -((int64_t)1 << (bits - 1)), high = ((int64_t)1 << (bits - 1)) - 1;
    int64_t total = r->held + term;
    int event = total < low || total > high;
    if (event && overflow == SATURATE) total = total < low ? low : high;
    if (event && overflow == WRAP) {
        uint64_t mask = ((uint64_t)1 << bits) - 1, kept = (uint64_t)total & mask;
        total = kept >> (bits - 1) ? (int64_t)(kept | ~mask) : (int64_t)kept;
    }
    r->held = total;
    r->exact += exact_term;
    return event;
}

static void widen(int64_t *lowest, int64_t *highest, int64_t value)
{
    if (value < *lowest) *lowest = value;
    if (value > *highest) *highest = value;
}

/* out[i * columns + j] for a [rows, depth] times b [depth, columns]; `scratch` holds
 * (rows + 1) * depth operands. */
void matmul(const uint16_t *a, const uint16_t *b, int64_t rows, int64_t depth, int64_t columns, struct format fa,
            struct format fb, struct datapath d, struct operand *scratch, int64_t *out, struct statistics *s)
{
    struct operand *column = scratch + rows * depth;
    for (int64_t l = 0; l < rows * depth; l++) scratch[l] = decode(a[l], fa);
    for (int64_t j = 0; j < columns; j++) {
        for (int64_t l = 0; l < depth; l++) column[l] = decode(b[l * columns + j], fb);
        for (int64_t i = 0; i < rows; i++) {
            const struct operand *row = scratch + i * depth;
            int64_t result = 0, first = INT64_MAX;
            for (int pair = 0; pair < (d.deferred ? 4 : 1); pair++) {
                struct accumulator outer = {0, 0};
                int64_t za = d.corrected ? fa.zero_point : 0, zb = d.corrected ? fb.zero_point : 0;
                int64_t count = 0, sum_a = 0, sum_b = 0; /* of the integers of the codes that meet in this register */
                for (int64_t l = 0; l < depth; l++) {
                    if (d.deferred && row[l].range * 2 + column[l].range != pair) continue;
                    count++;
                    sum_a += (row[l].mantissa + za) * ((int64_t)1 << (d.deferred ? 0 : row[l].shift));
                    sum_b += (column[l].mantissa + zb) * ((int64_t)1 << (d.deferred ? 0 : column[l].shift));
                }
                if (za != 0) {
                    int64_t constant = -za * sum_b + count * za * zb;
                    s->steps++;
                    if (add(&outer, constant, constant, d.bits, d.overflow)) {
                        s->events++;
                        first = -1;
                    }
                    widen(&s->lowest, &s->highest, outer.exact);
                }
                for (int64_t start = 0; start < depth; start += d.group) {
                    int64_t stop = start + d.group < depth ? start + d.group : depth;
                    struct accumulator inner = {0, 0};
                    for (int64_t l = start; l < stop; l++) {
                        int64_t product = (row[l].mantissa + za) * (column[l].mantissa + zb);
                        if (d.deferred) {
                            if (row[l].range * 2 + column[l].range != pair) product = 0;
                        } else {
                            product *= (int64_t)1 << (row[l].shift + column[l].shift);
                        }
                        if (d.inner_bits == 0) {
                            inner.held += product;
                            inner.exact += product;
                            continue;
                        }
                        s->steps++;
                        if (add(&inner, product, product, d.inner_bits, d.inner_overflow)) {
                            s->events++;
                            if (l < first) first = l;
                        }
                        widen(&s->inner_lowest, &s->inner_highest, inner.exact);
                    }
                    s->steps++;
                    if (add(&outer, inner.held, inner.exact, d.bits, d.overflow)) {
                        s->events++;
                        if (stop - 1 < first) first = stop - 1;
                    }
                    widen(&s->lowest, &s->highest, outer.exact);
                }
                if (zb != 0) {
                    s->steps++;
                    if (add(&outer, -zb * sum_a, -zb * sum_a, d.bits, d.overflow)) {
                        s->events++;
                        if (depth < first) first = depth;
                    }
                    widen(&s->lowest, &s->highest, outer.exact);
                }
                int shift = d.deferred ? (pair / 2) * fa.shift + (pair % 2) * fb.shift : 0;
                result += outer.held * ((int64_t)1 << shift);
            }
            out[i * columns + j] = result;
            if (first < INT64_MAX) {
                s->outputs++;
                if (s->first_output < 0 || i * columns + j < s->first_output) {
                    s->first_output = i * columns + j;
                    s->first_step = first;
                }
            }
        }
    }
}
