import sys
sys.path.insert(0, "/tmp/devgw")
from contextlib import contextmanager
from serving.http.server import ApiServer
@contextmanager
def console_in_front(incidents, automation, key):
    import gw
    server = ApiServer(gw.make(lambda: incidents, lambda: automation, "admin"), "127.0.0.1", 0)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
