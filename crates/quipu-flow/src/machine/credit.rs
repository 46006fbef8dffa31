//! The account of items and bytes in flight. Who may draw on it is decided in `pick` and `stall`.

/// A share of the budget below which a run counts as short of credit, so that an order-keeping sink's oldest waiter
/// goes first. Above it, a core that is busy elsewhere must not hold the others up.
const SCARCE_DIVISOR: u64 = 2;

#[derive(Debug)]
pub(crate) struct Credit {
    pub(crate) items: u64,
    pub(crate) items_budget: u64,
    pub(crate) items_peak: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_budget: u64,
    pub(crate) bytes_peak: u64,
}

impl Credit {
    pub(crate) fn new(items_budget: u64, bytes_budget: u64) -> Self {
        Self { items: 0, items_budget, items_peak: 0, bytes: 0, bytes_budget, bytes_peak: 0 }
    }

    /// Whether a gate is open.
    pub(crate) fn is_free(&self) -> bool {
        self.items < self.items_budget && self.bytes < self.bytes_budget
    }

    pub(crate) fn is_scarce(&self) -> bool {
        self.items >= self.items_budget / SCARCE_DIVISOR || self.bytes >= self.bytes_budget / SCARCE_DIVISOR
    }

    pub(crate) fn charge(&mut self, items: u64, bytes: u64) {
        self.items += items;
        self.bytes += bytes;
        self.items_peak = self.items_peak.max(self.items);
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }

    pub(crate) fn release(&mut self, items: u64, bytes: u64) {
        self.items -= items;
        self.bytes -= bytes;
    }
}
