"""The stage programs: parse, load the spec, call the library, write files."""

import sys

if sys.argv[0] == "-m":  # Python is about to run a program of this package, whose imports alone take seconds
    from normlab.stages.command import interrupted_while_importing

    sys.excepthook = interrupted_while_importing
