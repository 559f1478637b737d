"""From tidy tables and verdicts to pages: what the notebooks show, and the shell around it."""
