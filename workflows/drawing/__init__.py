"""Pictures: arrays and tables in, matplotlib figures out."""
