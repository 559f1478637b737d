"""Data sets: getting them onto disk (`sources`, `textures`) and onto the device (`images`)."""
