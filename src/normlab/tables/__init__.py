"""Rows of measurements: their schema, the tables made of them, and the stage outputs assembled."""
