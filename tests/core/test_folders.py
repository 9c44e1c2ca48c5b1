from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from glyphyard.core.folders import atomic_folder


def half_a_folder(target: Path) -> None:
    with atomic_folder(target) as folder:
        (folder / "x").write_text("half")
        raise RuntimeError


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("old")
    with pytest.raises(RuntimeError):
        half_a_folder(tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b" / "x").read_text() == "old"


def test_a_finished_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    for name in ("x", "y"):
        with atomic_folder(tmp_path / "b") as folder:
            (folder / name).write_text(name)
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["y"]
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_what_a_killed_process_left_of_a_folder_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    script = "import sys; from glyphyard.core.folders import atomic_folder; from pathlib import Path\n"
    script += "with atomic_folder(Path(sys.argv[1])) as f:\n  (f / 'x').write_text('x'); print(f, flush=True); sys.stdin.read()"
    makers = [subprocess.Popen([sys.executable, "-c", script, tmp_path / "b"], stdin=-1, stdout=-1, text=True) for _ in range(2)]
    lefts = [Path(str(maker.stdout and maker.stdout.readline().strip())) for maker in makers]
    makers[0].kill()
    makers[0].wait()
    assert all(left.is_dir() for left in lefts)
    with atomic_folder(tmp_path / "b") as folder:
        assert [left.is_dir() for left in lefts] == [False, True]
        (folder / "y").write_text("y")
    makers[1].communicate("")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.parent.name.endswith(".tmp"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space"), atomic_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("new")
    monkeypatch.undo()
    assert (tmp_path / "b" / "x").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
