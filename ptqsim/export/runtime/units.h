/* Integer units of a network without fractions of any machine's making: every value is an integer.
 *
 * Each function equals the reference of the unit of the same name in ptqsim, bit by bit. A right shift of a negative
 * integer rounds down in all of them, whatever the compiler does.
 */
#ifndef PTQSIM_UNITS_H
#define PTQSIM_UNITS_H

#include <stdint.h>

typedef int64_t integer;

/* One integer for all channels (count 1), or one for each. */
typedef struct {
    const integer *values;
    int count;
} per_channel;

enum format_kind { UNIFORM, TWIN_SOFTMAX, TWIN_SOFTMAX_NEAREST, TWIN_GELU, LOG2 };

/* A number format. Codes of uniform formats are clamped to low .. high before the zero point is added. */
typedef struct {
    enum format_kind kind;
    integer low, high, zero_point;
    int bits, shift, half_down, is_signed;
} format;

enum overflow_mode { WRAP, SATURATE, TRAP };

typedef struct {
    int bits;
    enum overflow_mode overflow;
    int by_step; /* 1: checked after every product, 0: once, where that is the same */
} accumulator;

typedef struct {
    const format *out;
    per_channel bias, mantissa, shift;
} rescale_unit;

typedef struct {
    const format *out;
    per_channel bias, m1, m2;
    int shift;
} residual_unit;

typedef struct {
    const format *out;
    per_channel gain, offset;
    integer epsilon;
    int precision, fraction, gain_fraction;
} layer_norm_unit;

enum softmax_kind { BASE_TWO, SHIFTMAX, I_EXP, ITA, RUNNING };

typedef struct {
    const format *out;
    enum softmax_kind kind;
    integer mantissa; /* BASE_TWO, ITA, RUNNING; inverse step of SHIFTMAX; ln2 of I_EXP */
    int shift;        /* BASE_TWO, SHIFTMAX, ITA, RUNNING; greatest number of halvings of I_EXP */
    int position_bits, fraction_bits;
    const integer *table;
    integer vertex, constant; /* I_EXP */
    int amplitude_bits, part; /* ITA; of RUNNING the greatest number of halvings, and the part */
    int exact, reciprocal_bits;
    integer gain_mantissa;
    int gain_shift;
} softmax_unit;

typedef struct {
    const format *out;
    integer multiplier, least_difference, gain_mantissa;
    int left_shift, gain_shift;
} tflite_softmax_unit;

enum activation_kind { TABLE, SHIFT_GELU, I_GELU };

typedef struct {
    const format *out;
    enum activation_kind kind;
    rescale_unit rescale;
    const integer *table;
    integer out_mantissa;
    int out_shift;
    integer inverse_step;
    int exp_shift, sigmoid_bits; /* SHIFT_GELU */
    integer vertex, constant, one; /* I_GELU */
} activation_unit;

integer aligned(integer code, const format *f);
integer code_by_shift(integer n, int shift, const format *f);
integer code_by_quotient(integer n, integer d, const format *f);

/* A sum as the register holds it. */
integer bounded(integer sum, const accumulator *acc);

/* A row of n values each; out may be an input. */
void rescale(integer *out, const integer *acc, int n, const rescale_unit *u);
void residual_add(integer *out, const integer *x, const integer *acc, int n, const residual_unit *u);
void layer_norm(integer *out, const integer *x, int n, const layer_norm_unit *u);
void softmax(integer *out, const integer *scores, int n, const softmax_unit *u);
void tflite_softmax(integer *out, const integer *scores, int n, const tflite_softmax_unit *u);
void activate(integer *out, const integer *acc, int n, const activation_unit *u);

#endif
