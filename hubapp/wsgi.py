"""The WSGI application that the web server runs."""

import ctypes
import os
import signal
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hubapp.settings")
os.environ.setdefault("ROOTSTOCK_ROLE", "web")  # before the settings: statements of pages have a time limit

from django.core.wsgi import get_wsgi_application

if sys.platform == "linux" and os.environ.get("ROOTSTOCK_TIED"):
    # granian's worker would outlive a killed master, keep the port, and answer with the code of yesterday.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

application = get_wsgi_application()
