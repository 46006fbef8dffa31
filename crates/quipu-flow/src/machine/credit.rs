//! The account of items and bytes in flight. Who may draw on it is decided in `ready` and `stall`.

/// A share of the budget below which a run counts as short of credit, so that the oldest waiter goes first where
/// something keeps order. Above it, a core that is busy elsewhere must not hold the others up.
const SCARCE_DIVISOR: u64 = 2;

/// The share of the budget that births leave to the children of what is under way.
const BIRTHS_DIVISOR: u64 = 4;

/// No quantum reserves more than this share of the budget for each worker, or one would take it all.
const SHARE_DIVISOR: u64 = 4;

#[derive(Debug)]
pub(crate) struct Credit {
    pub(crate) items: u64,
    pub(crate) items_budget: u64,
    pub(crate) items_peak: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_budget: u64,
    pub(crate) bytes_peak: u64,
    workers: u64,
}

impl Credit {
    pub(crate) fn new(items_budget: u64, bytes_budget: u64, workers: usize) -> Self {
        let workers = workers.max(1) as u64;
        Self { items: 0, items_budget, items_peak: 0, bytes: 0, bytes_budget, bytes_peak: 0, workers }
    }

    /// Whether a gate is open: for what makes items, or for what only grows some that have their credit.
    pub(crate) fn is_free(&self, makes_items: bool) -> bool {
        (self.items < self.items_budget || !makes_items) && self.bytes < self.bytes_budget
    }

    /// Whether there is room for births where items under way will need credit for their own children: births may not
    /// take it all, or those would come forward one by one, by stall steps.
    pub(crate) fn has_room_for_births(&self) -> bool {
        let share = |budget: u64| (budget - budget / BIRTHS_DIVISOR).max(1);
        self.items < share(self.items_budget) && self.bytes < share(self.bytes_budget)
    }

    pub(crate) fn is_scarce(&self) -> bool {
        self.items >= self.items_budget / SCARCE_DIVISOR || self.bytes >= self.bytes_budget / SCARCE_DIVISOR
    }

    /// How much of `items` and `bytes` one quantum may reserve: what is free, and no more than a fair share; at least
    /// one of each where the gate is open.
    pub(crate) fn grant(&self, items: u64, bytes: u64) -> (u64, u64) {
        let share = |budget: u64| (budget / (SHARE_DIVISOR * self.workers)).max(1);
        let items_free = self.items_budget.saturating_sub(self.items);
        let bytes_free = self.bytes_budget.saturating_sub(self.bytes);
        let items = items.min(items_free).min(share(self.items_budget)).max(1);
        let bytes = bytes.min(bytes_free).min(share(self.bytes_budget)).max(1);
        (items, bytes)
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
