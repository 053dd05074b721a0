import threading
from pathlib import Path

import pytest

from infra.testbed import cache
from infra.testbed.cache import locked
from infra.testbed.errors import BedError


@pytest.mark.parametrize("place", ["/run/me", "/var/lib/me", "/var/log"])
def test_a_cache_that_the_cluster_would_hide_is_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", place)

    with pytest.raises(BedError, match="Set XDG_CACHE_HOME"):
        cache.root()


def test_a_lock_that_its_holder_deletes_still_keeps_others_apart(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "lock", 0, 0
    counting = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        for _ in range(50):
            with locked(path):
                with counting:
                    inside += 1
                    most = max(most, inside)
                with counting:
                    inside -= 1
                path.unlink()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
