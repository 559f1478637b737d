"""What is measured on trained runs, and without them."""
