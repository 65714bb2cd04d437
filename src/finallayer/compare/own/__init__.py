"""The user's own program against its fixed form: two arms, a few seeds, a process each, and what that shows.

``arms`` says what the two are, ``folder_copy`` makes the folders that they run in, ``cell`` runs one with one seed,
``engines`` many at a time, here or elsewhere; ``measured`` holds what was measured, ``answer`` and ``own_page`` what
follows from it, ``trial`` is the whole.
"""
