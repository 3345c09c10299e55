"""Recorder of name look-ups and socket addresses, in every Python process that has this folder on its PYTHONPATH.

Each event is a line of the file that RECORD names: its kind, and the host, address or path.
"""

import os
import sys

KINDS = {
    "socket.getaddrinfo": 0,  # position of the host or address among the arguments
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "socket.getnameinfo": 0,
    "socket.bind": 1,
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
}


def record(event: str, arguments: tuple[object, ...]) -> None:
    if event in KINDS:
        place = arguments[KINDS[event]]
        host = place[0] if isinstance(place, tuple) else place
        with open(os.environ["RECORD"], "a") as file:  # noqa: PTH123  # importing pathlib here would be recorded on
            file.write(f"{event} {host!r}\n")


sys.addaudithook(record)
