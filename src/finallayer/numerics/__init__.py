"""What a loss really computes: reference blocks, their oracle, and the margin up to which a gradient holds.

Import the module you need (``finallayer.numerics.blocks``, ``.oracle``, ``.ulp``, ``.margin``): this package
itself loads nothing, so that ``finallayer check`` starts without NumPy or mpmath.
"""
