"""Types of the compiled module. Checked against the binary by ``mypy.stubtest`` in ``make lint``."""

from collections.abc import Callable, Sequence
from typing import Any, final

__version__: str

def build_info() -> dict[str, str]:
    """Facts of the build: ``profile`` (release or debug), ``version``, ``rustc``, ``target``."""

class NativeError(Exception):
    """Base of every error that the compiled module raises on purpose."""

class ParseError(NativeError):
    """A request that must be refused. ``args`` are (status: int, reason: str)."""

class SnapshotError(NativeError):
    """A delta that cannot be read at all (not JSON, wrong base version)."""

@final
class RequestHead:
    """A parsed and normalised HTTP/1 request head."""

    method: str
    target: str
    path: str
    query: str | None
    host: str
    port: int | None
    version: str
    headers: list[tuple[str, str]]
    content_length: int | None
    chunked: bool
    keep_alive: bool
    size: int

def parse_request_head(data: bytes) -> RequestHead | None:
    """Parse a head; ``None`` while incomplete; raises :class:`ParseError`."""

@final
class RouteTable:
    """A compiled virtual host: the first route in rank order that matches."""

    def __init__(self, virtual_host: bytes) -> None:
        """``virtual_host`` is the JSON of :class:`gateway.ir.VirtualHost`."""
    def match(self, method: str, host: str, path: str, query: str = ..., headers: Sequence[tuple[str, str]] = ...) -> str | None:
        """Name of the matching route. ``path`` must already be normalised."""
    def __len__(self) -> int: ...

@final
class TokenBucket:
    """One GCRA bucket (RFC-less; ITU-T I.371): ``rate`` tokens per ``period`` seconds, at most ``burst`` stored."""

    def __init__(self, rate: int, period: float, burst: int) -> None: ...
    def take(self, now: float, n: int = 1) -> bool:
        """Take ``n`` tokens at time ``now`` (seconds, monotonic); False when they are not there."""
    def retry_after(self, now: float, n: int = 1) -> float:
        """Seconds until ``n`` tokens would be there."""

@final
class SharedMemory:
    """Counters, histograms and token buckets in a memory file shared by master and workers (Linux memfd)."""

    def __init__(self, fd: int, workers: int) -> None:
        """Map ``fd``, growing the file to its fixed size if needed."""
    @staticmethod
    def size(workers: int) -> int:
        """Bytes of the file for this number of worker slots."""
    def read(self) -> dict[str, Any]:
        """Sums over all workers; see ``gateway/admin/metrics.py`` for the keys."""
    def reset_gauges(self, worker: int) -> None:
        """Zero the gauges of a worker slot whose process is gone."""

@final
class Snapshot:
    """A compiled configuration: immutable, shared by reference, safe to hand to another thread."""

    version: int
    issues: list[tuple[str, str, str]]
    """(section key, field path, message) of every section or route that could not be compiled."""

    @staticmethod
    def compile(delta: bytes, base: Snapshot | None = None) -> Snapshot:
        """Apply a delta (see ``gateway/plane/delta.py``) to ``base``. Releases the GIL. Raises :class:`SnapshotError`."""
    def explain(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]] = ...,
        listener: str | None = None,
        peer: str = ...,
    ) -> bytes:
        """JSON: which listener, virtual host and route take the request, why, and what would go upstream."""

@final
class Upcall:
    """A request that waits for Python. Its attributes are copies; answering a vanished request is a no-op."""

    id: int
    filter: str
    method: str
    host: str
    path: str
    query: str | None
    headers: list[tuple[str, str]]
    client: str
    route: str

@final
class Waker:
    """Wakes an engine from any thread."""

    def wake(self) -> None: ...

@final
class Engine:
    """The data plane of one worker. All methods must be called on the thread that made it."""

    def __init__(
        self,
        worker: int = 0,
        memory: SharedMemory | None = None,
        on_upcalls: Callable[[list[Upcall]], None] | None = None,
        access_log_fd: int | None = None,
    ) -> None: ...
    def fileno(self) -> int:
        """Readable whenever :meth:`turn` has work, deadlines included."""
    def turn(self) -> None:
        """Do the native work that is due, within the budget of a turn, then deliver upcalls."""
    def next_deadline(self) -> float | None:
        """Seconds until the earliest timer, for hosts that poll."""
    def waker(self) -> Waker: ...
    def apply(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` current for new requests; running ones keep theirs."""
    def listen(self, listener: str, fd: int) -> None:
        """Accept from listening socket ``fd`` (duplicated) for listener section ``listener``, beside earlier sockets."""
    def unlisten(self, listener: str) -> None:
        """Stop accepting for a listener. Connections stay."""
    def answer(
        self,
        upcall: int,
        *,
        status: int | None = None,
        body: bytes = ...,
        headers: Sequence[tuple[str, str]] = ...,
        add_request_headers: Sequence[tuple[str, str]] = ...,
        remove_request_headers: Sequence[str] = ...,
    ) -> None:
        """Let a request continue (``status`` is None) or answer it."""
    def drain(self) -> None:
        """Close idle connections, answer the rest with ``Connection: close``. Accepting goes on until ``unlisten``."""
    def connections(self) -> int:
        """Open downstream connections."""
    def in_flight(self) -> int:
        """Requests being served."""
    def close(self) -> None:
        """Drop everything at once."""
