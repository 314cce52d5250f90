"""docs/guests.md: its export runs, and it names every kind."""

import re
import subprocess
import sys
from pathlib import Path

from stembridge.models import parse_card
from stembridge.models.guests import all_kinds, recognise
from stembridge.models.guests.kinds import card_numbers

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "guests.md").read_text("utf-8")
SEPARATOR = """
import torch
class Separator(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mixing = torch.nn.Conv1d(2, 8, 9, padding=4)
    def forward(self, mix):
        return self.mixing(mix).reshape(1, 4, 2, -1)
"""


def test_the_export_runs_and_is_recognised(tmp_path, guest):
    _, export = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "my_separator.py").write_text(SEPARATOR)
    prepare = "import torch, my_separator; torch.save(my_separator.Separator().state_dict(), 'weights.pth')\n"
    done = subprocess.run([sys.executable, "-c", prepare + export], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (stems,) = re.findall(r"models import mine.onnx --stems (\S+)", DOCUMENT)
    values = recognise([guest("mine.onnx", (tmp_path / "mine.onnx").read_bytes())], "mine", stems=stems.split(","))
    card = parse_card(values, "mine")
    assert (card.values["kind"], card.stems) == ("waveform", tuple(stems.split(",")))
    assert card.segment.samples == 10 * 44100


def test_every_kind_is_named():
    kinds = {re.sub(r"-\d+$", "", name) for name in all_kinds()}
    assert kinds == {re.sub(r"-\d+$", "", name) for name in re.findall(r"`([a-z]+(?:-[a-z0-9]+)?)`", DOCUMENT)} & kinds


def test_the_latencies_and_overlaps_agree_with_the_code():
    for kind, row, seconds, overlaps in [
        ("htdemucs", "| HTDemucs |", 7.8, "10 % | 25 % | 75 %"),
        ("mdx-5120", "| MDX-Net (", 5.9, "10 % | 25 % | 50 %"),
        ("scnet", "| SCNet |", 7.8, "10 % | 25 % | 75 %"),
        ("roformer-parts", "| BS-RoFormer", 8, "25 % | 50 % | 75 %"),
        ("spleeter", "| Spleeter |", 12, "1 % | 10 % | 50 %"),
        ("openunmix", "| Open-Unmix |", 18, "1 % | 10 % | 50 %"),
    ]:
        segment = card_numbers(all_kinds()[kind], {}, single=False)["segment"]
        line = next(line for line in DOCUMENT.splitlines() if line.startswith(row))
        assert f"| {seconds} s" in line
        latency = (segment["samples"] - segment.get("trim", 0)) / 44100
        assert abs(latency - seconds) <= 0.06 * seconds, kind
        assert overlaps in DOCUMENT
        shares = all_kinds()[kind]["overlap"].values()
        assert " | ".join(f"{100 * share:g} %" for share in shares) == overlaps
