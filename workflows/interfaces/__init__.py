"""Thin Nipype interfaces: load, call, save."""
