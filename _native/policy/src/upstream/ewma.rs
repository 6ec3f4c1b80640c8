//! A latency that jumps to a peak at once and decays towards lower observations, or towards nothing without any.
//!
//! Source: "Peak EWMA" of Finagle and Envoy's contrib policy of that name. A time constant of `decay_ns` means that
//! after so many nanoseconds an old value counts for `1/e`.

use std::cell::Cell;

/// Cost of an endpoint that has requests under way and never answered one: such an endpoint is tried one request at a
/// time. In nanoseconds, far above every latency.
const UNPROVEN: f64 = 1e18;

/// The moving latency of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Ewma {
    value_ns: Cell<f64>,
    at_ns: Cell<u64>,
    decay_ns: Cell<u64>,
}

impl Ewma {
    /// Keep latencies with this time constant; 0 keeps none.
    pub(crate) fn set_decay(&self, decay_ns: u64) {
        self.decay_ns.set(decay_ns);
    }

    /// What is left after the time since the last observation of what was worth 1 then.
    fn rest(&self, now_ns: u64) -> f64 {
        let decay = self.decay_ns.get();
        if decay == 0 { 0.0 } else { (-(now_ns.saturating_sub(self.at_ns.get()) as f64) / decay as f64).exp() }
    }

    pub(crate) fn observe(&self, latency_ns: u64, now_ns: u64) {
        if self.decay_ns.get() == 0 {
            return;
        }
        let (latency, old) = (latency_ns as f64, self.value_ns.get());
        let rest = self.rest(now_ns);
        self.value_ns.set(if latency > old { latency } else { old * rest + latency * (1.0 - rest) });
        self.at_ns.set(self.at_ns.get().max(now_ns));
    }

    /// Cost of one more request beside `active` others: the decayed latency times the requests that would share it.
    pub(crate) fn cost(&self, active: u32, now_ns: u64) -> f64 {
        let latency = self.value_ns.get();
        if latency == 0.0 && active > 0 {
            return UNPROVEN * f64::from(active);
        }
        latency * self.rest(now_ns) * (f64::from(active) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn near(value: f64, want: f64) -> bool {
        (value - want).abs() <= want.abs() * 1e-9
    }

    #[test]
    fn peaks_at_once_and_decays() {
        let ewma = Ewma::default();
        ewma.set_decay(10 * SECOND);
        assert!(near(ewma.cost(0, 0), 0.0));
        assert!(near(ewma.cost(2, 0), 2.0 * UNPROVEN), "unproven and busy");
        ewma.observe(100, SECOND);
        assert!(near(ewma.cost(0, SECOND), 100.0));
        assert!(near(ewma.cost(3, SECOND), 400.0));
        ewma.observe(500, SECOND);
        assert!(near(ewma.cost(0, SECOND), 500.0), "a peak counts whole");
        assert!(near(ewma.cost(0, 11 * SECOND), 500.0 / std::f64::consts::E), "one time constant later");
        ewma.observe(100, 11 * SECOND);
        let rest = (-1.0_f64).exp();
        assert!(near(ewma.cost(0, 11 * SECOND), 500.0 * rest + 100.0 * (1.0 - rest)));
        assert!(near(ewma.cost(0, 5 * SECOND), ewma.cost(0, 11 * SECOND)), "a clock that went back changes nothing");
    }

    #[test]
    fn keeps_nothing_without_a_time_constant() {
        let ewma = Ewma::default();
        ewma.observe(100, SECOND);
        assert!(near(ewma.cost(0, SECOND), 0.0));
    }
}
