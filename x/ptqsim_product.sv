// Aligned product of two codes, alignment product.
//
//   term = (a_mantissa * b_mantissa) << (a_shift)
//        = value(a_code) * value(b_code), exact
//   value(a_code) = a_mantissa << a_shift, Minifloat(exponent_bits=2, mantissa_bits=1, bias=1)
//   value(b_code) = b_code, two's complement of 8 bits
`default_nettype none

module ptqsim_product (
    input  wire  [3:0] a_code,                       // minifloat code
    input  wire  [7:0] b_code,                       // uniform code
    output logic signed [11:0] term                  // exact product
);
    wire [1:0] a_shift;
    wire signed [2:0] a_mantissa;
    ptqsim_a_decoder u_a_decoder (
        .code(a_code),
        .shift(a_shift),
        .mantissa(a_mantissa)
    );

    wire signed [7:0] b_mantissa = b_code;

    wire signed [9:0] product;

    ptqsim_multiplier u_multiplier (
        .x(a_mantissa),
        .y(b_mantissa),
        .product(product)
    );

    wire [1:0] total_shift = a_shift;
    wire signed [11:0] wide_product = 12'(product);
    assign term = wide_product <<< total_shift;
endmodule

`default_nettype wire
