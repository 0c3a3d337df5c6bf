"""What the command line does once and ends: options, audit, export, and how it is shown."""
