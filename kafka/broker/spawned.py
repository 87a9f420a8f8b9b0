"""Become another program in a session of its own: `spawned.py PARENT FOLDER PROGRAM ARGUMENT…`.

Run as a script, never imported. With PARENT a pid, the program is asked to end (SIGTERM) when that
process is gone, however it went; with PARENT 0 it outlives whoever started it. This small step between
`posix_spawn` and the program is what a `preexec_fn` would do, without running Python in a forked copy
of a process that has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2); kept across execve(2)


def main() -> None:
    """Tie this process to its parent if asked to, then become the program."""
    parent, folder, *command = sys.argv[1:]
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # whoever started us may have sockets open
    os.setsid()  # Ctrl-C in the terminal is for the one who started us, who then stops us in good order
    os.chdir(folder)
    if int(parent):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before the line above
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
