"""Breach forecasting: when a series will exceed its limit."""
