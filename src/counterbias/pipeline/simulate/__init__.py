"""``counterbias simulate``: reads with a known bias and a known abundance."""
