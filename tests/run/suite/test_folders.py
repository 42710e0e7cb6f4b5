"""Run folders on their way between machines."""

import io
import tarfile

import pytest

from policy_distill.errors import RequestError
from policy_distill.run.suite import folders
from policy_distill.run.suite.folders import pack_files, replace_folder, unpack_files


def test_a_folder_arrives_as_it_was_and_what_was_there_is_gone(tmp_path):
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "run" / "checkpoint" / "step-1").write_bytes(b"\0\1")
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / "link").symlink_to("config.json")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "stale").touch()
    replace_folder(pack_files([tmp_path / "run"], tmp_path / "run"), tmp_path / "there")
    found = {path.relative_to(tmp_path / "there").as_posix() for path in (tmp_path / "there").rglob("*.*")}
    found |= {path.name for path in (tmp_path / "there").iterdir()}
    assert found == {"config.json", "checkpoint", "link"}
    assert (tmp_path / "there" / "checkpoint" / "step-1").read_bytes() == b"\0\1"
    assert (tmp_path / "there" / "link").read_text() == "{}"
    assert not list(tmp_path.glob(".*arriving"))


def test_what_is_too_large_to_travel_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MAX_BYTES", 3)
    (tmp_path / "one").write_text("four")
    with pytest.raises(RequestError, match="--storage shared"):
        pack_files([tmp_path / "one"], tmp_path)


def test_an_archive_writes_nowhere_else(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack_files(buffer.getvalue(), tmp_path / "inside")
    assert not (tmp_path / "outside").exists()
