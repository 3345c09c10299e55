"""Where the web server listens, and what it needs."""

import socket
from pathlib import Path

import pytest

from confostain.errors import OptionError
from confostain.viewer.serving import Address, check_page, listening


def test_the_next_free_port_is_taken() -> None:
    with listening(Address()) as first, listening(Address()) as second:
        assert first.getsockname()[1] != second.getsockname()[1]
        assert first.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on


@pytest.mark.parametrize(
    ("host", "is_local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("box", False)]
)
def test_only_this_machine_goes_without_a_token(host: str, is_local: bool) -> None:
    assert Address(host).is_local is is_local
    assert not Address(host, root_path="/user/anna").is_local


def test_a_page_without_openseadragon_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="npm") as refusal:
        check_page(tmp_path / "openseadragon.min.js")
    assert "\n" not in str(refusal.value)
    (tmp_path / "openseadragon.min.js").touch()
    check_page(tmp_path / "openseadragon.min.js")
