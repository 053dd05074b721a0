from tests.activities.world import routed, world

__all__ = ["routed", "world"]
