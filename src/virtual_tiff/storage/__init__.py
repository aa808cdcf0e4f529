"""Addresses of files, and the object stores behind them."""
