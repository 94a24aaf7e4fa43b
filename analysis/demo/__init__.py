"""The whole job in one command: accuracy, exactness, accumulator widths and the paper's figures, from one model."""
