"""BIDS as data: names, tables and plans, without images."""
