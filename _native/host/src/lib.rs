//! A single-threaded runtime that a foreign event loop turns through one file descriptor.
//!
//! The runtime owns an epoll instance. Its descriptor is readable whenever there is work: a ready socket, a due timer
//! or a wake-up from another thread. The foreign loop then calls [`Host::turn`], which handles every ready socket in
//! one batch and returns. Nothing here blocks, and nothing here knows Python or HTTP.

mod clock;
mod executor;
mod host;
mod io;
mod listener;
mod own_thread;
mod readiness;
mod timer;
mod timerfd;
mod udp;
mod udp_peer;

pub use clock::{Clock, SystemClock};
pub use executor::RemoteWaker;
pub use host::{Host, HostError, TurnBudget, TurnReport};
pub use io::TcpIo;
pub use listener::ListenerIo;
pub use own_thread::OwnThread;
pub use quinn_udp::{RecvMeta, Transmit};
pub use timer::Timer;
pub use udp::UdpIo;
pub use udp_peer::UdpPeerIo;
