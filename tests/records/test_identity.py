import hashlib
from pathlib import Path, PurePosixPath

import pytest

from molehunt.records.identity import root_digest

FILES = {"config.json": b"{}", "model.safetensors": b"\x00\x01", "sub/a.txt": b"a", "sub/b.txt": b"", "z": b"last"}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def by_hand(files: dict[str, bytes]) -> str:
    """OpenSSF Model Signing v1.0: the reference implementation sorts PurePosixPaths."""
    digests = [hashlib.sha256(files[name]).digest() for name in sorted(files, key=PurePosixPath)]
    return hashlib.sha256(b"".join(digests)).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path, FILES)


def test_the_root_digest_is_the_hash_of_the_files_hashes_in_path_order(folder: Path) -> None:
    assert root_digest(folder) == by_hand(FILES)


def test_a_folder_sorts_by_its_own_name_and_not_by_the_slash_after_it(tmp_path: Path) -> None:
    files = {"a/b": b"1", "a.txt": b"2", "a-c": b"3"}
    assert sorted(files) != sorted(files, key=PurePosixPath)
    assert root_digest(fill(tmp_path, files)) == by_hand(files)


def test_an_empty_folder_has_the_hash_of_nothing(tmp_path: Path) -> None:
    assert root_digest(tmp_path) == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("name", [n for n, content in FILES.items() if content])
def test_any_changed_byte_changes_the_digest(folder: Path, name: str) -> None:
    content = FILES[name]
    for place in range(len(content)):
        (folder / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert root_digest(folder) != by_hand(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_changes_the_digest_and_its_return_gives_it_back(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert root_digest(folder) != by_hand(FILES)
    fill(folder, {name: FILES[name]})
    assert root_digest(folder) == by_hand(FILES)


@pytest.mark.parametrize("name", ["new", ".hidden", "sub/new", "sub/.git/x", "sub/.gitignore"])
def test_an_added_file_changes_the_digest_even_if_it_is_empty(folder: Path, name: str) -> None:
    fill(folder, {name: b""})
    assert root_digest(folder) != by_hand(FILES)


def test_names_count_by_the_order_that_they_put_the_files_in(folder: Path) -> None:
    (folder / "config.json").rename(folder / "zz")
    assert root_digest(folder) != by_hand(FILES)


@pytest.mark.parametrize("name", [".git/HEAD", ".git/objects/aa/bb", ".gitignore", ".gitattributes", ".github/x.yml"])
def test_the_names_that_the_standard_leaves_out_do_not_count_at_the_top(folder: Path, name: str) -> None:
    fill(folder, {name: b"anything"})
    assert root_digest(folder) == by_hand(FILES)


def test_a_suffix_restricts_the_digest_to_files_of_that_name(folder: Path) -> None:
    assert root_digest(folder, ".safetensors") == by_hand({"model.safetensors": b"\x00\x01"})
