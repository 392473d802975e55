"""Python runs this as it starts, where this folder is on PYTHONPATH."""

import as_on_windows

as_on_windows.begin()
