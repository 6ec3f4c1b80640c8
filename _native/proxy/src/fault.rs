//! Failures that the configuration asks for (Envoy: "Fault injection").

use sluice_policy::stats::Global;
use sluice_snapshot::Fault;

use crate::downstream::After;
use crate::reply::Reply;
use crate::request::Request;

impl Request<'_> {
    /// Delays the request or answers it, as drawn. `Some` if it is answered.
    pub(crate) async fn inject(&self, fault: &Fault) -> Option<After> {
        let shared = &self.connection.shared;
        let drawn = |share: f64| shared.percent() < share;
        let delay = fault.delay.filter(|(_, share)| drawn(*share));
        if let Some((delay_ns, _)) = delay {
            shared.count(Global::FaultDelays, 1);
            self.record.flags.set("DI");
            self.connection.deadlines.uploaded(0, 0);
            if let Err(error) = self.pause(delay_ns).await {
                return Some(self.fail(&error).await);
            }
        }
        let (status, _) = fault.abort.filter(|(_, share)| drawn(*share))?;
        shared.count(Global::FaultAborts, 1);
        let flag = if delay.is_some() { "DI,FI" } else { "FI" };
        Some(self.reply(Reply::new(status).body(b"text/plain", b"fault filter abort\n"), flag).await)
    }
}
