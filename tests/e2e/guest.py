"""`python guest.py ADDRESS VERSION`: a user who keeps a connection to that version, and says when answers come."""

import http.client
import json
import sys
import time

address, wanted = sys.argv[1:]
while True:
    connection, opened, is_there = http.client.HTTPConnection(address, timeout=5), time.time(), False
    try:
        while is_there or time.time() < opened + 1:
            connection.request("GET", "/api/info")
            answer = connection.getresponse()
            text = answer.read()
            is_there = is_there or (answer.status == 200 and json.loads(text)["version"] == wanted)
            if is_there:
                print(time.time(), flush=True)
            time.sleep(0.05)
    except (OSError, http.client.HTTPException):
        time.sleep(0.05)
    finally:
        connection.close()
