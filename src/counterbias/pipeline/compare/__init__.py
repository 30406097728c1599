"""``counterbias compare``: bias models side by side on one or several samples."""
