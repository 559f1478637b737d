"""The paper's digitized curves."""
