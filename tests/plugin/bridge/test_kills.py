"""The plugin's processes end again and again: a few of the thousands that `tests/hosts/kills.py` ends."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "hosts" / "kills.py"


def test_hosts_go_on_whatever_becomes_of_the_process(host):
    """In real time and offline, killed or stopped for ever. `host`: because it is skipped where none can be built."""
    # None while they start, because the plugin waits 20 s for a process that stops then.
    command = [sys.executable, SCRIPT, "--count", "8", "--hosts", "8", "--early", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    for kind in "KILL, realtime", "KILL, offline", "STOP, realtime", "STOP, offline":
        assert f"{kind}: 8 processes ended in 8 hosts" in run.stdout
