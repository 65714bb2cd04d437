"""The GPU kernel, in Triton: what the CPU kernel computes, by the same formulas. Import a module of it to use it."""
