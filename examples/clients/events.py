# Usage: python3 events.py URL    (python3 events.py "http://localhost:4321/access.log?from=-10")
# After a lost connection it goes on where it was: no line is lost, and none comes twice.
import sys, time, urllib.error, urllib.request
place = ""
while True:
    try:
        fields = {"Accept": "text/event-stream", "Last-Event-ID": place}
        event = {}
        for line in urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=fields)):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            event[name] = event[name] + "\n" + value if name in event and name == "data" else value
            if not name:  # The empty line that an event ends with: what has none does not count.
                place = event.get("id", place)
                if "data" in event and "event" not in event: print(event["data"], flush=True)
                event = {}
    except urllib.error.HTTPError as error: sys.exit(error.read().decode())
    except OSError: pass
    time.sleep(1)
