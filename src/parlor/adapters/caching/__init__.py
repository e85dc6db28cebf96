"""Ports that remember what the port behind them said."""
