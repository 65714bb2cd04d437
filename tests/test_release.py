"""What a release is made of, as the workflow makes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import finallayer

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parent.parent
JOBS = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]


@pytest.mark.parametrize(
    ("tag", "fits"), [(f"v{finallayer.__version__}", True), (f"v{finallayer.__version__}1", False), ("main", False)]
)
def test_a_tag_that_isnt_the_version_is_no_release(tag: str, fits: bool) -> None:
    step = next(s for s in JOBS["sdist"]["steps"] if s.get("name") == "The tag is the version")
    done = subprocess.run(["bash", "-e", "-c", step["run"]], cwd=ROOT, env={"TAG": tag, "PATH": "/usr/bin:/bin"})
    assert (done.returncode == 0) == fits


def test_nothing_is_published_before_every_wheel_was_tried() -> None:
    assert set(JOBS["publish"]["needs"]) == set(JOBS) - {"publish"}
    tried = next(s["env"]["CIBW_TEST_COMMAND"] for s in JOBS["wheels"]["steps"] if "env" in s)
    assert "finallayer rules" in tried
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
