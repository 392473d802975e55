"""What a JupyterHub needs for this course, whatever hub it is.

It is one of the files that a hub reads: who may come in, and where their
servers run, is up to the others. hub.en.md and hub.es.md say where to put it.
"""

import os
import sys
from pathlib import Path

from jupyterhub.utils import random_port

c = get_config()  # noqa: F821

c.Spawner.default_url = "/lab"

# A learner's server takes 170 MB and each open notebook some 100 more. Where
# nothing holds them to this (the default spawner does not), it is a promise.
c.Spawner.mem_limit = "1G"

# A kernel is the only thing that grows. One that nobody has a page open to,
# and that has done nothing for an hour, ends; notebooks and progress stay.
# Whole servers are the idle culler's, which most hubs bring.
c.Spawner.args.extend(
    [
        "--MappingKernelManager.cull_idle_timeout=3600",
        "--MappingKernelManager.cull_interval=300",
    ]
)

# The class's board, at /services/board/, if there is a folder for its file.
# It runs as the owner of that folder. Its tokens are in the file, and not
# here: a hub logs the commands of its services, and whoever can read this
# file could read them.
BOARD = Path(os.environ.get("AULA_BOARD", "/srv/aula-board"))

# The Littlest JupyterHub has a Python of its own for its users.
USERS_PYTHON = Path("/opt/tljh/user/bin/python")

if BOARD.is_dir():
    python = USERS_PYTHON if USERS_PYTHON.exists() else sys.executable
    board = {
        "name": "board",
        "url": f"http://127.0.0.1:{random_port()}",
        "command": [str(python), "-m", "aula.board"],
        "cwd": str(BOARD),
    }
    if os.geteuid() == 0:
        board["user"] = BOARD.owner()
    c.JupyterHub.services.append(board)
