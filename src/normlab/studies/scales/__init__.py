"""The normalizers that the deep linear study knows, one file each: `NAME.py` has the function `NAME`.

It is called with the whitened samples (S, F+1, N), the maps M (B, F, F+1) of a layer's outputs, a row vector `spread`
(F+1,) that is 1 but for 0 in the column of the mean, and eps; and returns 1/s (B, F, 1) and D = ds/dM (B, F, F+1), as
`normlab.studies.deep_linear.network` defines them. B is seeds times variants, the seed varying slowest.
"""
