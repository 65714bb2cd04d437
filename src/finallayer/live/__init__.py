"""Front ends for running programs: what a loss really computes becomes the same loss expression that source does.

A framework has a module, or package, of its own name here, which is only imported for a program of that framework.
"""
