"""From stage outputs to tidy tables, intervals, verdicts and figures."""
