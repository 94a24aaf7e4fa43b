"""The compiler's options, the processor's features, and the threads that share a kernel's work.

The arithmetic of the simulator is elsewhere.
"""
