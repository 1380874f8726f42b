"""Imported before all else by the server process that forks jobs: it lives as long as its worker, and apart from it.

A signal to the worker's group, Ctrl-C for example, is not meant for it.
"""

import os

from featlas.worker.lifeline import die_with_parent

die_with_parent(os.getppid())
os.setpgid(0, 0)
