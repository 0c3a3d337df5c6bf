"""What is done once and ends, with no actor: audit, export, and the bulk load."""
