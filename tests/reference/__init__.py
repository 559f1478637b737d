"""Slow, obvious twins of the probes, in float64, and one table of models that every probe is held against."""
