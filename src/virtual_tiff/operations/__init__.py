"""The public functions: resolve user input to plans, and commit them."""
