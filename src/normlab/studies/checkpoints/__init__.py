"""The probe study: every measurement at every checkpoint of a training run, as tidy rows."""
