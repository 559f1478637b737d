"""One function for every figure of the paper and for every artefact check, drawn from the tidy tables.

Two kinds of functions: `plot_…(frame, ax, …) -> ax` draws one panel from one tidy frame, and
`figure_N(frame, …) -> Figure` composes the panels of the paper's Figure N. Modules are grouped by report page.
"""
