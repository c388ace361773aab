"""Settings and atlas registry of braindelta."""
