"""Records: finished runs, kept in Git as small tables with where they come from, and rendered from these alone."""
