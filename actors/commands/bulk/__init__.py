"""Loading years of history from the archive and from REST."""
