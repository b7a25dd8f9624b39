"""Code for a kernel that kills itself at a chosen point of writing its session's record.

Points are counted: before and after every write, in the middle of it, before and after every fsync, before
``meta.json`` is replaced. :func:`arm` gives the cell; a point of 0 never comes, and only counts.
"""

from __future__ import annotations

_CELL = """
def _arm(point, share):
    import os, signal
    from ante_nb.agent import journal

    class Deadly:
        seen = 0
        def __getattr__(self, name):
            return getattr(os, name)
        def reached(self):
            Deadly.seen += 1
            return Deadly.seen == point
        def die(self):
            os.kill(os.getpid(), signal.SIGKILL)
        def write(self, descriptor, data):
            if self.reached():
                self.die()
            if self.reached():
                os.write(descriptor, data[:int(len(data) * share)])
                self.die()
            done = os.write(descriptor, data)
            if self.reached():
                self.die()
            return done
        def fsync(self, descriptor):
            if self.reached():
                self.die()
            os.fsync(descriptor)
            if self.reached():
                self.die()
        def fdopen(self, *given, **named):
            if self.reached():
                self.die()
            return os.fdopen(*given, **named)

    journal.os = Deadly()
    return Deadly
_deadly = _arm({point}, {share})
"""


def arm(point: int, share: float = 0.5) -> str:
    """The cell that arms the kernel to die at ``point``, a torn write with ``share`` of its bytes written."""
    return _CELL.replace("{point}", str(point)).replace("{share}", repr(share))
