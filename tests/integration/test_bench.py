"""The benchmark runs, and writes what its page promises. How fast anything is, no test asserts."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_writes_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "new" / "results.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(out.read_text())
    promised = re.findall(r"^\| `([a-z_.]+)` \| ([\d.]*)", (ROOT / "docs/benchmarks.md").read_text(), re.MULTILINE)
    rows = results["rows"]
    assert {name: float(target) if target else None for name, target in promised} == {
        name: row["target"] for name, row in rows.items()
    }
    for name, row in rows.items():
        assert row["value"] > 0, name
        assert (row["within"] is None) == (row["target"] is None)
        assert name in done.stdout
    for name, side in results["sides"].items():
        (sample,) = side["samples"]
        assert side["median"] == sample["seconds"] > 0
        assert sample["rollout"] > 0
        # All parts of an upgrade make up the whole of it.
        assert name.startswith("operator") == bool(sample.get("parts"))
        assert not sample.get("parts") or abs(sum(sample["parts"].values()) - sample["seconds"]) < 0.01
    assert set(results["versions"]) == {"meshupgrade", "kubernetes", "kubectl", "helm", "python", "processors"}
