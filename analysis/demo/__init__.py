"""The demonstration: accuracy, exactness, accumulator widths and the paper's figures from one model, in one command."""
