// Processing element, accumulator of 24 bits.
//
//   result = sum over the steps since first of value(a_code) * value(b_code)
//   value(a_code) = a_mantissa << a_shift, Minifloat(exponent_bits=2, mantissa_bits=1, bias=1)
//   value(b_code) = b_code, two's complement of 8 bits
//
// Order sequential: one product after the other, each sum kept to the low bits of its register (two's
// complement).
`default_nettype none

module ptqsim_element (
    input  wire  clk,
    input  wire  enable,                             // take this step
    input  wire  first,                              // start from zero: the first step of an output
    input  wire  [3:0] a_code,                       // minifloat code
    input  wire  [7:0] b_code,                       // uniform code
    output logic signed [23:0] result                // what the steps taken so far give
);
    logic signed [23:0] acc;
    wire signed [23:0] start_acc = first ? 24'sd0 : acc;
    wire signed [23:0] next_acc;

    ptqsim_step u_step (
        .a_code(a_code),
        .b_code(b_code),
        .acc(start_acc),
        .next_acc(next_acc)
    );

    always_ff @(posedge clk) begin
        if (enable) begin
            acc <= next_acc;
        end
    end

    assign result = acc;
endmodule

`default_nettype wire
