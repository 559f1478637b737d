"""What the fork server imports, once, before it makes the processes of the jobs; nothing else imports this module.

Nothing here computes anything: no parallel region is entered and CUDA is not asked, since what is forked could use
neither afterwards.
"""

import contextlib
import importlib
import os

PRELOAD = "NORMLAB_PRELOAD"  # the modules, separated by commas

if PRELOAD in os.environ:
    os.setpgid(0, 0)  # Ctrl-C is for the program that started it, which ends the jobs in an orderly way
    for name in filter(None, os.environ[PRELOAD].split(",")):
        with contextlib.suppress(Exception):  # the job that needs it says what is wrong
            importlib.import_module(name)
