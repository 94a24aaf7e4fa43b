// Dot-product unit: 1 product per cycle, one result per output.
//
//   out_result = sum over the steps up to in_last of value(a_code) * value(b_code), as the element adds them
//
// A step is taken at a rising edge with in_valid and in_ready, a result with out_valid and out_ready.
// An offer, once made, has to stand until it is taken. There are no idle cycles between outputs.
`default_nettype none

module ptqsim_dot (
    input  wire  clk,
    input  wire  rst,                                // synchronous, active high
    input  wire  in_valid,                           // a step is offered
    output logic in_ready,                           // it is taken at this edge
    input  wire  in_last,                            // it is the last one of its output
    input  wire  [3:0] a_code,                       // minifloat code
    input  wire  [7:0] b_code,                       // uniform code
    output logic out_valid,                          // a result is offered
    input  wire  out_ready,                          // it is taken at this edge
    output logic signed [23:0] out_result            // in units of scale_a * scale_b
);
    // The registers of the element hold the result until it is taken, and start anew in the same cycle.
    wire accept = in_valid & in_ready;
    assign in_ready = ~out_valid | out_ready;

    logic first;
    always_ff @(posedge clk) begin
        if (rst) begin
            first <= 1'b1;
            out_valid <= 1'b0;
        end else if (accept) begin
            first <= in_last;
            out_valid <= in_last;
        end else if (out_ready) begin
            out_valid <= 1'b0;
        end
    end

    ptqsim_element u_element (
        .clk(clk),
        .enable(accept),
        .first(first),
        .a_code(a_code),
        .b_code(b_code),
        .result(out_result)
    );
endmodule

`default_nettype wire
