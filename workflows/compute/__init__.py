"""Pure computations on arrays and tables."""
