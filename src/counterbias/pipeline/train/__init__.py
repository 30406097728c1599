"""``counterbias train``: many samples → one pooled bias model."""
