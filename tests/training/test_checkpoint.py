from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from learnable import same_weights

from glyphyard.core.errors import BadInput, ExitCode
from glyphyard.training.checkpoint import check_fingerprints, load_parts, load_state, put_weights, save_state


def parts(seed: int = 0, width: int = 3) -> torch.nn.ModuleDict:
    torch.manual_seed(seed)
    return torch.nn.ModuleDict({"model": torch.nn.Linear(2, width), "extra": torch.nn.Linear(1, 1)})


def state(of: torch.nn.ModuleDict) -> dict:
    return {"parts": of.state_dict(), "ema": None, "position": {"epoch": 1, "stopped": ""}}


def test_a_state_comes_back_under_each_of_its_names(tmp_path: Path) -> None:
    save_state(state(parts()), tmp_path / "best.pt", tmp_path / "last.pt")
    for name in ("best.pt", "last.pt"):
        loaded = load_state(tmp_path / name)
        assert same_weights(loaded["parts"], parts().state_dict())
        assert loaded["position"] == {"epoch": 1, "stopped": ""}
    save_state(state(parts(1)), tmp_path / "last.pt")
    assert same_weights(load_state(tmp_path / "best.pt")["parts"], parts().state_dict())


def test_where_hard_links_are_not_to_be_had_the_file_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save_state(state(parts()), tmp_path / "best.pt", tmp_path / "last.pt")
    assert (tmp_path / "best.pt").read_bytes() == (tmp_path / "last.pt").read_bytes()


def test_a_full_disk_fails_with_the_files_name_and_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = tmp_path / "last.pt"
    save_state(state(parts()), last)

    def half_a_write(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(bytes(data[: len(data) // 2]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", half_a_write)
        with pytest.raises(BadInput, match=r"last\.pt.*No space left.*--resume") as caught:
            save_state(state(parts(1)), last)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert same_weights(load_state(last)["parts"], parts().state_dict())
    assert os.listdir(tmp_path) == ["last.pt"]


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/glyphyard-was-here",)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    marker = Path("/tmp/glyphyard-was-here")
    torch.save({"schema": 1, "parts": Hostile()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Hostile()))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(BadInput, match=f"{name}.*more than weights"):
            load_state(tmp_path / name)
    assert not marker.exists()
    assert not recwarn.list, "one line says it all"


def test_what_is_no_checkpoint_is_a_clean_error(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    save_state(state(parts()), whole)
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:-200])
    (tmp_path / "text.pt").write_text("hello")
    (tmp_path / "empty.pt").touch()
    torch.save({"parts": {}}, tmp_path / "foreign.pt")
    for name in ("cut.pt", "text.pt", "empty.pt", "foreign.pt", "absent.pt"):
        with pytest.raises(BadInput, match=name) as refused:
            load_state(tmp_path / name)
        assert "more than weights" not in str(refused.value), "nobody meant any harm"


def test_the_average_is_what_gets_loaded_where_there_is_one(tmp_path: Path) -> None:
    save_state(state(parts(0)) | {"ema": parts(1).state_dict()}, tmp_path / "best.pt")
    target = parts(2)
    load_parts(tmp_path / "best.pt", target)
    assert same_weights(target.state_dict(), parts(1).state_dict())


def test_weights_of_another_shape_or_network_are_refused() -> None:
    with pytest.raises(BadInput, match="part `model`"):
        put_weights(parts(), parts(width=4).state_dict(), "x.pt")
    with pytest.raises(BadInput, match="other"):
        put_weights(parts(), torch.nn.ModuleDict({"other": torch.nn.Linear(1, 1)}).state_dict(), "x.pt")


def test_a_checkpoint_may_hold_some_of_the_parts() -> None:
    target, some = parts(0), parts(1)
    assert put_weights(target, {k: v for k, v in some.state_dict().items() if k.startswith("model.")}, "x.pt") == ["extra"]
    assert torch.equal(target["model"].weight, some["model"].weight)
    assert torch.equal(target["extra"].weight, parts(0)["extra"].weight)


def test_a_state_of_another_run_is_refused_with_both_sides() -> None:
    check_fingerprints({"recipe": "a", "more": 1}, {"recipe": "a"}, "last.pt")
    with pytest.raises(BadInput, match=r"recipe: it has a, this run b"):
        check_fingerprints({"recipe": "a"}, {"recipe": "b"}, "last.pt")


@pytest.mark.parametrize("content", [b"", b"torn", b"\x80\x02", b"PK\x03\x04", b"\x00" * 100, b"."])
def test_any_bytes_that_are_no_checkpoint_are_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(BadInput, match=r"last\.pt"):
        load_state(tmp_path / "last.pt")
