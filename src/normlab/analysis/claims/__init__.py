"""How each claim of `claims.yaml` is measured: one function a claim, `(cells, **settings) -> {part: callable}`.

A callable measures its part when it is called: it returns one number a seed, or raises `NotRunError` naming the
runs that are missing. Thresholds are not here.
"""
