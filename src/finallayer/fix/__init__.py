"""Fixes: edits that move softmax from the model into the loss, each proven before it is offered.

``text/`` knows files and edits, ``flow/`` who makes and reads what, ``fixers/`` how each finding is mended;
``proposals`` offers what ``proof`` and ``validation/`` let pass, and ``repair`` makes the edits, round by round.
"""
