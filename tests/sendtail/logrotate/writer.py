"""A daemon that logs: numbered lines into one file, opened anew on SIGHUP, done on SIGTERM."""

import itertools
import os
import signal
import sys
import time

path, directory = sys.argv[1:]
caught = set()
for number in signal.SIGHUP, signal.SIGTERM:
    signal.signal(number, lambda number, frame: caught.add(number))


def opened():
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


log = opened()
with open(directory + "/pid", "w") as file:
    file.write(str(os.getpid()))
for number in itertools.count():
    os.write(log, b"line %d\n" % number)
    if number % 20 == 0:
        time.sleep(0.001)
    if signal.SIGHUP in caught:
        caught.clear()
        os.close(log)
        log = opened()
        open(directory + "/reopened", "w").close()
    if signal.SIGTERM in caught:
        break
