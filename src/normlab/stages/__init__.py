"""The stage programs: parse, load the spec, call the library, write files."""

import sys

if sys.argv[0] == "-m":  # Python is about to run a program of this package, whose imports alone take seconds
    from normlab.stages.command import interrupted_while_importing

    sys.excepthook = interrupted_while_importing

# jsonschema, which nbformat loads, compiles the grammar of web addresses as soon as it is imported: more than a second
# of every page. No format is checked here, and where this package cannot be imported jsonschema does without it.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
