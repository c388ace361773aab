"""Brain measures that other tools made, as tables."""
