"""The public verbs: user input to plans, and plans to one commit."""
