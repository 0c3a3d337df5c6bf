"""The audit: what to compare, comparing and mending it, and what was found."""
