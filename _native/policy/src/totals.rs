//! Sums over all workers, for the exporter.

use crate::latency;
use crate::region::Table;
use crate::stats::{
    BUCKETS_AT, CLASSES, CLASSES_AT, CODES, CODES_AT, FIELDS, FIELDS_AT, Field, GLOBALS, Global, LATENCY_SUM_AT,
    Layout, LayoutError, REJECTS, Region, Row,
};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Sums over all workers; rows without any count are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    globals: [u64; GLOBALS],
    /// Refused requests: (index of the reason, count).
    pub rejects: Vec<(usize, u64)>,
    /// Version of the configuration in force, per worker slot.
    pub config_versions: Vec<u64>,
    /// Requests in flight, per worker slot.
    pub in_flight: Vec<u64>,
    /// Listeners by ascending slot.
    pub listeners: Vec<RowTotals>,
    /// Clusters by ascending slot.
    pub clusters: Vec<RowTotals>,
}

/// Sums of one listener or cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTotals {
    /// Row number.
    pub slot: usize,
    /// Answers by status class; see [`CLASSES`].
    pub classes: [u64; CLASSES],
    /// Answers by status; in the order of [`CODES`].
    pub codes: [u64; CODES.len()],
    fields: [u64; FIELDS],
    /// Sum of the durations in microseconds.
    pub latency_sum_us: u64,
    /// Answers per latency bucket (not cumulative); see [`latency::BOUNDS_US`].
    pub latency: [u64; latency::BUCKETS],
}

impl Totals {
    /// Sum of a number over the workers; the highest for [`Global::LoopLagMaxUs`], the lowest of the workers that have
    /// one for [`Global::ConfigVersion`].
    #[must_use]
    pub fn get(&self, number: Global) -> u64 {
        self.globals[number as usize]
    }
}

impl RowTotals {
    /// Sum of a number over the workers. Each worker judges endpoints for itself: the most endpoints, the fewest healthy
    /// and the most ejected ones that any of those says who know the cluster.
    #[must_use]
    pub fn get(&self, field: Field) -> u64 {
        self.fields[field as usize]
    }

    /// Answered requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    fn of(slot: usize, rows: &[Row<'_>]) -> Option<Self> {
        let at = |word: usize| rows.iter().fold(0_u64, |sum, row| sum.wrapping_add(row.0[word].load(Relaxed)));
        let mut total = Self {
            slot,
            classes: std::array::from_fn(|index| at(CLASSES_AT + index)),
            codes: std::array::from_fn(|index| at(CODES_AT + index)),
            fields: std::array::from_fn(|index| at(FIELDS_AT + index)),
            latency_sum_us: at(LATENCY_SUM_AT),
            latency: std::array::from_fn(|index| at(BUCKETS_AT + index)),
        };
        let knowing = |field: Field| {
            let knowing = rows.iter().filter(|row| row.word(Field::Endpoints).load(Relaxed) != 0);
            knowing.map(move |row| row.word(field).load(Relaxed))
        };
        total.fields[Field::Endpoints as usize] = knowing(Field::Endpoints).max().unwrap_or(0);
        total.fields[Field::EndpointsHealthy as usize] = knowing(Field::EndpointsHealthy).min().unwrap_or(0);
        total.fields[Field::EndpointsEjected as usize] = knowing(Field::EndpointsEjected).max().unwrap_or(0);
        let touched = total.classes.iter().chain(&total.fields).any(|&count| count != 0);
        touched.then_some(total)
    }
}

impl Layout {
    /// Sum the counters of all workers. Reads only; a page that nobody wrote stays unallocated.
    pub fn sum(self, memory: &[AtomicU64]) -> Result<Totals, LayoutError> {
        let regions: Vec<Region<'_>> =
            (0..self.workers).map(|worker| self.region(memory, worker)).collect::<Result<_, _>>()?;
        let each = |number: Global| regions.iter().map(move |region| region.word(number).load(Relaxed));
        let mut globals = [0_u64; GLOBALS];
        for region in &regions {
            for (sum, word) in globals.iter_mut().zip(region.globals()) {
                *sum = sum.wrapping_add(word.load(Relaxed));
            }
        }
        globals[Global::LoopLagMaxUs as usize] = each(Global::LoopLagMaxUs).max().unwrap_or(0);
        globals[Global::ConfigVersion as usize] = each(Global::ConfigVersion).filter(|&v| v != 0).min().unwrap_or(0);
        let rejects = (0..REJECTS)
            .map(|reason| (reason, regions.iter().map(|region| region.reject_word(reason).load(Relaxed)).sum()))
            .filter(|&(_, count): &(usize, u64)| count != 0)
            .collect();
        Ok(Totals {
            globals,
            rejects,
            config_versions: each(Global::ConfigVersion).collect(),
            in_flight: each(Global::InFlight).collect(),
            listeners: table(&regions, Table::Listeners),
            clusters: table(&regions, Table::Clusters),
        })
    }
}

/// The rows of a table, added up over the regions that have used them.
fn table(regions: &[Region<'_>], table: Table) -> Vec<RowTotals> {
    let used = regions.iter().map(|region| region.used(table)).max().unwrap_or(0);
    let mut rows = Vec::with_capacity(regions.len());
    let mut found = Vec::new();
    for slot in 0..used {
        rows.clear();
        rows.extend(regions.iter().filter(|region| slot < region.used(table)).map(|region| region.row(table, slot)));
        found.extend(RowTotals::of(slot, &rows));
    }
    found
}
