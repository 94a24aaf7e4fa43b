"""The compiler's options, the processor's features, and the threads that share a kernel's work.

No arithmetic of the simulator lies here.
"""
