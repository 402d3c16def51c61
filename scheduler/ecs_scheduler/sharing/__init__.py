"""Whose job comes next: weights, quotas and caps of shares and families, and what each uses."""
