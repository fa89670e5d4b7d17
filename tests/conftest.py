"""No test depends on the speed of the machine, or on how it was started: property tests have no deadlines, and Ctrl-C
reaches processes that tests start even where the tests run in the background of a script, which ignores it.
"""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
