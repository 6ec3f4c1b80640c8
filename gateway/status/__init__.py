"""What the gateway says in ``status`` of the objects it serves. Nothing here changes what is served."""

from gateway.status.keeper import StatusKeeper
from gateway.status.make import make_keeper

__all__ = ["StatusKeeper", "make_keeper"]
