"""Types of the compiled module. Checked against the binary by ``mypy.stubtest`` in ``make lint``."""

from collections.abc import Callable, Sequence
from typing import Any, Self, final

__all__ = [
    "Engine",
    "NativeError",
    "ParseError",
    "RequestHead",
    "RouteTable",
    "SharedMemory",
    "Snapshot",
    "SnapshotError",
    "TokenBucket",
    "Upcall",
    "Waker",
    "__version__",
    "build_info",
    "parse_request_head",
]

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

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str | None: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def version(self) -> str: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def chunked(self) -> bool: ...
    @property
    def keep_alive(self) -> bool: ...
    @property
    def size(self) -> int: ...

def parse_request_head(data: bytes) -> RequestHead | None:
    """Parse a head; ``None`` while incomplete; raises :class:`ParseError`."""

@final
class RouteTable:
    """A compiled virtual host: the first route in rank order that matches."""

    def __new__(cls, virtual_host: bytes) -> Self:
        """``virtual_host`` is the JSON of :class:`gateway.ir.VirtualHost`."""
    def match(
        self,
        method: str,
        host: str,
        path: str,
        query: str | None = None,
        headers: Sequence[tuple[str, str]] = ...,
    ) -> str | None:
        """Name of the matching route. ``path`` must already be normalised."""
    def __len__(self) -> int: ...

@final
class TokenBucket:
    """One GCRA bucket (RFC-less; ITU-T I.371): ``rate`` tokens per ``period`` seconds, at most ``burst`` stored."""

    def __new__(cls, rate: int, period: float, burst: int) -> Self: ...
    def take(self, now: float, n: int = 1) -> bool:
        """Take ``n`` tokens at time ``now`` (seconds, monotonic); False when they are not there."""
    def retry_after(self, now: float, n: int = 1) -> float:
        """Seconds until ``n`` tokens would be there."""

@final
class SharedMemory:
    """Counters, histograms and token buckets in a memory file shared by master and workers (Linux memfd)."""

    def __new__(cls, fd: int, workers: int) -> Self:
        """Map ``fd``, growing the file to its fixed size if needed."""
    @staticmethod
    def size(workers: int) -> int:
        """Bytes of the file for this number of worker slots."""
    def read(self) -> dict[str, Any]:
        """Sums over all workers; see ``gateway/admin/metrics.py`` for the keys."""
    def turns(self) -> list[int]:
        """Turns of each worker slot so far: a worker whose number has not grown for two seconds does not turn."""
    def set_pressure(self, level: int) -> None:
        """Tell the workers how short of memory the pod is: 0 not at all, 1 connections end with their next answer, 2
        requests are refused."""
    def reset_gauges(self, worker: int) -> None:
        """Zero the gauges of a worker slot whose process is gone."""

@final
class Snapshot:
    """A compiled configuration: immutable, shared by reference, safe to hand to another thread."""

    @property
    def version(self) -> int: ...
    @property
    def issues(self) -> list[tuple[str, str, str]]:
        """(section key, field path, message) of every section or route that could not be compiled."""

    @staticmethod
    def compile(delta: bytes, base: Snapshot | None = None) -> Snapshot:
        """Apply a delta (``gateway/plane/delta.py``) to ``base``, without the GIL; may raise :class:`SnapshotError`."""
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

    @property
    def id(self) -> int: ...
    @property
    def filter(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str | None: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def client(self) -> str: ...
    @property
    def route(self) -> str: ...

@final
class Waker:
    """Wakes an engine from any thread."""

    def wake(self) -> None: ...

@final
class Engine:
    """The data plane of one worker. All methods must be called on the thread that made it."""

    def __new__(
        cls,
        worker: int = 0,
        memory: SharedMemory | None = None,
        on_upcalls: Callable[[list[Upcall]], None] | None = None,
        access_log_fd: int | None = None,
        upcall_timeout: float = 5.0,
    ) -> Self:
        """``upcall_timeout``: seconds after which a request that waits for an answer to its upcall gets 504."""
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
        """Accept from listening socket ``fd`` (duplicated) for a listener section, beside its earlier sockets."""
    def listen_udp(self, listener: str, fd: int) -> None:
        """Take HTTP/3 connections from UDP socket ``fd`` (duplicated) for a listener section.

        A socket that it has under another name goes on under this one.
        """
    def unlisten(self, listener: str) -> None:
        """Stop accepting for a listener. Connections over TCP stay, those over UDP are asked to leave."""
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
    def count_filter(self, outcome: str) -> None:
        """Count what became of a filter: ``failed``, ``missing``, ``timeout``, ``stalled`` or ``refused``."""
    def drain(self) -> None:
        """Close idle connections, answer the rest with ``Connection: close``. Accepting goes on until ``unlisten``."""
    def connections(self) -> int:
        """Open downstream connections."""
    def in_flight(self) -> int:
        """Requests being served."""
    def close(self) -> None:
        """Drop everything at once."""
