from tests.activities.world import world

__all__ = ["world"]
