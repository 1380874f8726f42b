"""Imported before all else by the server process that forks jobs: a signal to its worker's group is not meant for it.

Ctrl-C for example. It ends when the worker that started it does.
"""

import os

os.setpgid(0, 0)
