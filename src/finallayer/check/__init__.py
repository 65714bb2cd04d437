"""The driver of ``finallayer check``: which files, by which settings, and from files to findings.

Import the module you need; this package itself loads nothing, so that checking one small file starts fast.
"""
