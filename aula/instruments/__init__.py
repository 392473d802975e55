"""The instruments: what draws the tasks and the connections of a block."""
