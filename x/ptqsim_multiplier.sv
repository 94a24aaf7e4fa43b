// Multiplier, 3-bit signed times 8-bit signed.
//
//   product = x * y, exact in 10 bits
`default_nettype none

module ptqsim_multiplier (
    input  wire  signed [2:0] x,
    input  wire  signed [7:0] y,
    output logic signed [9:0] product
);
    wire signed [9:0] wide_x = 10'(x);
    wire signed [9:0] wide_y = 10'(y);

    assign product = wide_x * wide_y;
endmodule

`default_nettype wire
