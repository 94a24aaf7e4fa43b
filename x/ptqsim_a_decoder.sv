// Decoder of E2M1 codes of 4 bits: 2 of exponent, 1 of fraction.
//
//   normal = field != 0, significand = normal * 2^1 + fraction
//   shift = field - normal
//   mantissa = sign ? -significand : significand
//
// The value of a code is mantissa << shift in units of the least number. Codes of infinity and NaN are
// read as numbers: they have no value, and are not to be given.
`default_nettype none

module ptqsim_a_decoder (
    input  wire  [3:0] code,                         // stored code
    output logic [1:0] shift,                        // 0 to 2
    output logic signed [2:0] mantissa               // value before the shift
);
    wire normal = |code[2:1];
    wire signed [2:0] significand = {1'd0, normal, code[0:0]};
    assign shift = code[2:1] - 2'(normal);

    assign mantissa = code[3] ? -significand : significand;
endmodule

`default_nettype wire
