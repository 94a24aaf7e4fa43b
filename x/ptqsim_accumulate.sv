// One addition into a register of 24 bits, overflow mode wrap.
//
//   sum = the low 24 bits of register + term
`default_nettype none

module ptqsim_accumulate (
    input  wire  signed [23:0] register,             // what the register holds, 24 bits
    input  wire  signed [11:0] term,                 // what is added
    output logic signed [23:0] sum                   // what the register holds next
);
    assign sum = register + 24'(term);
endmodule

`default_nettype wire
