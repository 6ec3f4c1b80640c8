//! The thread that asks how long addresses may be used. Nobody waits for it: an answer without a time is used as others are.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::{Arc, Weak, mpsc};

use crate::pending::Pending;
use crate::ttl::{Servers, Silence, clock};

struct Question {
    host: String,
    addresses: Vec<IpAddr>,
    /// Gone when the addresses are no longer those that are used: then the question is dropped, so that at most one for
    /// each name is worked on however slow the servers are.
    answer: Weak<Pending<Option<u32>>>,
}

/// Started by the first question.
pub(crate) struct TtlThread {
    questions: RefCell<Option<mpsc::Sender<Question>>>,
    /// Read anew for each question: resolv.conf(5) may change.
    servers: Arc<dyn Fn() -> Servers + Send + Sync>,
}

impl TtlThread {
    pub(crate) fn new(servers: Arc<dyn Fn() -> Servers + Send + Sync>) -> Self {
        Self { questions: RefCell::default(), servers }
    }

    /// For how many seconds `addresses` of `host` may be used, if the name servers tell.
    pub(crate) fn ask(&self, host: &str, addresses: Vec<IpAddr>) -> Arc<Pending<Option<u32>>> {
        let answer = Arc::new(Pending::default());
        let question = Question { host: host.to_owned(), addresses, answer: Arc::downgrade(&answer) };
        let mut questions = self.questions.borrow_mut();
        if questions.get_or_insert_with(|| start(Arc::clone(&self.servers))).send(question).is_err() {
            answer.deliver(None);
        }
        answer
    }
}

fn start(servers: Arc<dyn Fn() -> Servers + Send + Sync>) -> mpsc::Sender<Question> {
    let (sender, receiver) = mpsc::channel();
    // Where no thread can be started nobody receives, and no time is known.
    drop(std::thread::Builder::new().name("resolver-ttl".to_owned()).spawn(move || work(&receiver, &*servers)));
    sender
}

fn work(questions: &mpsc::Receiver<Question>, servers: &dyn Fn() -> Servers) {
    let mut silence = Silence::default();
    while let Ok(Question { host, addresses, answer }) = questions.recv() {
        if answer.strong_count() == 0 {
            continue;
        }
        let id = crate::random_seed() as u16;
        let ttl = servers().ttl(&host, &addresses, id, &mut silence, clock());
        if let Some(answer) = answer.upgrade() {
            answer.deliver(ttl);
        }
    }
}
