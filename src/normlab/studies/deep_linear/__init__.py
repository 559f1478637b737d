"""The deep linear network study: many seeds in one batch, float64, full-batch gradient descent with every probe."""
