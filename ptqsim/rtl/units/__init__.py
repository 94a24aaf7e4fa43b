"""Hardware of integer units: streams of scores, accumulators and residuals in, codes out."""
