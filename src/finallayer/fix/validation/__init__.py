"""Translation validation: the edited program is analysed again, and compared with the old one at all that it shows.

``relocation`` parses the new text so that every node stands where it stood before, ``programs`` runs both, ``forms``
says what two values have in common that mean the same, ``differences`` follows what differs to where it is seen, and
``validate`` says what that makes of a fix.
"""
