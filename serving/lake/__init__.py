"""The lake: tables of a tenant behind one port (`port.Lake`), opened by `opening.open_lake`; nothing else touches its files."""
