"""``ante-kernel``: a Jupyter kernel in which a cell is a prompt.

It is an IPython kernel with the magics of ``ante_nb`` loaded; what runs a prompt, and all state, is theirs.
"""
