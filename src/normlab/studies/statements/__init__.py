"""How often the paper's statements and their assumptions hold, on random and on trained tensors."""
