"""The plugin's processes are ended again and again: a short run of `tests/hosts/kills.py`."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "hosts" / "kills.py"


def test_hosts_go_on_whatever_happens_to_the_process(host):
    """Kill or suspend it, in real time and offline. The fixture `host` skips the test where no host can be built."""
    # Not during its start, because then the plugin waits 20 s for a process that stops.
    command = [sys.executable, SCRIPT, "--count", "8", "--hosts", "8", "--early", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    for kind in "KILL, realtime", "KILL, offline", "STOP, realtime", "STOP, offline":
        assert f"{kind}: 8 processes ended in 8 hosts" in run.stdout
