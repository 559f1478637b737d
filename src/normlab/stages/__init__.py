"""The stage programs: parse, load the spec, call the library, write files."""
