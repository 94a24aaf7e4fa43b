// One step of the unit: wrap, sequential, product.
//
//   next_acc = overflow(acc + term)
//   term = exact product of its codes
`default_nettype none

module ptqsim_step (
    input  wire  [3:0] a_code,                       // minifloat code
    input  wire  [7:0] b_code,                       // uniform code
    input  wire  signed [23:0] acc,                  // register
    output logic signed [23:0] next_acc              // register after this step
);
    wire signed [11:0] term;
    ptqsim_product u_product (
        .a_code(a_code),
        .b_code(b_code),
        .term(term)
    );

    wire signed [11:0] group_sum = term;

    ptqsim_accumulate u_accumulate (
        .register(acc),
        .term(group_sum),
        .sum(next_acc)
    );
endmodule

`default_nettype wire
