ptqsim_a_decoder.sv
ptqsim_multiplier.sv
ptqsim_product.sv
ptqsim_accumulate.sv
ptqsim_step.sv
ptqsim_element.sv
ptqsim_dot.sv
