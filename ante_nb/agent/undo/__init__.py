"""Undo: what a turn did to files and variables, and the way back.

:class:`~ante_nb.agent.undo.log.UndoLog` is the door. Files are known by a walk of the working directory
before the first call that may change any of them and another one at the turn's end; old bytes lie in a
content-addressed store below ``ANTE_HOME/undo`` before the call starts. Variables are known by their
bindings, and by copies of what can be changed in place.

Not covered, and said where it matters: files larger than the caps, what ``.gitignore`` names, files
outside the working directory that Bash or Python changed, what background commands do after the turn,
anything beyond files and variables (databases, services, packages), and what the person's own code or
another kernel changed in the same directory while the turn ran, which counts as the turn's.
"""
